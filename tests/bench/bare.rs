//! The least an actix-web program can do, as the measure for requests that are refused: two workers, one
//! handler, a 404 with a short body. `run` starts it; by hand: `bare <port>`.

use std::process::ExitCode;

use actix_web::{App, HttpResponse, HttpServer, web};

const USAGE: &str = "usage: bare <port>; tests/bench/run starts it";

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("not found\n")
}

fn main() -> ExitCode {
    // `cargo bench` runs every bench with `--bench` and no port; then there is nothing to do.
    let Some(port) = std::env::args().nth(1).and_then(|port| port.parse().ok()) else {
        eprintln!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    match actix_web::rt::System::new().block_on(serve(port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bare: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    HttpServer::new(|| App::new().default_service(web::to(not_found)))
        .workers(2)
        .shutdown_timeout(1)
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
