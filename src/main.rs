//! The edge: arguments and environment in, an exit code out.

use std::process::ExitCode;

use message_webhook_proxy::cli;
use message_webhook_proxy::env::Env;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Env::of_process()).into()
}
