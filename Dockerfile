# The image: the program, its C library, and nothing to log in with.
#
# No BuildKit feature is used (no --mount, no --chmod, no here-document): Heroku builds heroku.yml with the
# classic builder. BuildKit builds the same file.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies first, from the manifest and the lock file alone, over an empty program: this layer is
# built again only when one of the two changes, not with every edit of a source file.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin message-webhook-proxy \
    && rm -r src

# Cargo decides by modification times, and a copied file keeps its own, older than the empty program:
# touching the two roots makes it build them.
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin message-webhook-proxy

# The runtime has no shell to make a directory with, so it is made here. Any user may write to it, as in
# /tmp, because the user id is not known: Heroku and OpenShift choose one. What the program writes there, its
# outbox, is its own alone (files are made 0600). A new volume mounted over it takes over the mode.
RUN mkdir -p /image/usr/local/bin /image/data \
    && cp target/release/message-webhook-proxy /image/usr/local/bin/ \
    && chmod 0755 /image/usr/local/bin/message-webhook-proxy \
    && chmod 1777 /image/data

# glibc and libgcc without a shell, a package manager or a set-uid file. Not `scratch`: a static glibc
# cannot resolve host names the way /etc/nsswitch.conf says, and musl's allocator costs throughput. The public
# CAs are compiled into the program.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/ /

# Published ports reach the container from outside, so loopback would serve nobody. A platform that chooses
# the port overrides PORT.
ENV HOST=0.0.0.0 PORT=3000
EXPOSE 3000

# The outbox's default path is relative, so it is under /data; mount a volume there to keep it. DATABASE_URL is
# not set here: Heroku wipes the disk at every restart, and the program knows that only while nobody names a
# file. There is no VOLUME: it would make an anonymous one for every start, which nobody finds again.
WORKDIR /data

# By number, so that Kubernetes' runAsNonRoot can check it. Any other id works as well, and so does a
# read-only root file system.
USER 65532:65532

# The program asks itself: there is no curl here. Heroku and Kubernetes ignore this and probe in their own way.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/message-webhook-proxy", "healthcheck"]

# Exec form: the program is process 1 and receives SIGTERM itself. Heroku runs a CMD through `/bin/sh -c`
# unless there is an ENTRYPOINT, and demands that a CMD exists; hence both.
ENTRYPOINT ["/usr/local/bin/message-webhook-proxy"]
CMD ["serve"]
