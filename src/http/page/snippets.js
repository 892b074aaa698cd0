// The request as other programs write it. A URL here holds no character that a shell, YAML or Groovy knows: `encode` in app.js.

export const PLACES = [
  ["curl", "a shell (curl)"],
  ["github", "GitHub Actions"],
  ["gitlab", "GitLab CI"],
  ["jenkins", "Jenkins"],
  ["circleci", "CircleCI"],
  ["docker", "a Dockerfile's HEALTHCHECK"],
  ["webhook", "a webhook field"],
];

const HEADER = `-H "Authorization: Bearer $PROXY_TOKEN" `;

// What to paste, and what else to do. `open` means that no credential is needed, `signed` that it is in the URL.
export function snippet(place, { url, signed, open }) {
  const bare = signed || open;
  const curl = `curl -fsS -X POST ${bare ? "" : HEADER}'${url}'`;
  const secret = (where) => (bare ? "" : `Store the proxy token ${where}.`);
  switch (place) {
    case "github":
      return {
        note: secret("as the repository's secret PROXY_TOKEN"),
        text: lines("- name: Tell the channel", "  if: always()", "  run: |", `    ${curl}`, ...(bare ? [] : ["  env:", "    PROXY_TOKEN: ${{ secrets.PROXY_TOKEN }}"])),
      };
    case "gitlab":
      return {
        note: secret("as the masked variable PROXY_TOKEN"),
        text: lines("notify:", "  stage: .post", "  image: curlimages/curl", "  when: always", "  script:", "    - |", `      ${curl}`),
      };
    case "jenkins": {
      const step = `sh '''${curl}'''`;
      const inside = bare
        ? [`    ${step}`]
        : ["    withCredentials([string(credentialsId: 'proxy-token', variable: 'PROXY_TOKEN')]) {", `      ${step}`, "    }"];
      return { note: secret("as the secret text proxy-token"), text: lines("post {", "  always {", ...inside, "  }", "}") };
    }
    case "circleci":
      return {
        note: secret("as the project's environment variable PROXY_TOKEN"),
        text: lines("- run:", "    name: Tell the channel", "    when: always", "    command: |", `      ${curl}`),
      };
    case "docker":
      return {
        note: `Posts at every check that fails.${bare ? "" : " The container needs the proxy token as PROXY_TOKEN."}`,
        text: lines("HEALTHCHECK --interval=1m --retries=1 CMD curl -fsS http://localhost/health \\", `  || { ${curl}; exit 1; }`),
      };
    case "webhook":
      return {
        note: bare
          ? "The sender must use POST; what it sends as a body is thrown away."
          : "A field that is shown or logged needs a signed URL. Else put the token into this one; the sender must use POST.",
        text: bare ? url : url.replace("://", "://token:YOUR-PROXY-TOKEN@"),
      };
    default:
      return { note: bare ? "" : "With the proxy token in the variable PROXY_TOKEN.", text: curl };
  }
}

const lines = (...all) => all.join("\n");
