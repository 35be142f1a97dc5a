//! The `ferula` command.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{Router, routing::get};
use clap::{Parser, Subcommand};

/// A Prometheus-class metrics monitoring platform.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// Where to listen for HTTP.
        #[arg(long = "web.listen-address", default_value = "127.0.0.1:9090")]
        listen: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    let Cli {
        command: Command::Serve { listen },
    } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = ferula_env::net::listen(listen).await?;
        let app = Router::new().route("/-/ready", get(|| async { "Ferula is Ready.\n" }));
        axum::serve(listener, app).await.context("serving HTTP")
    })
}
