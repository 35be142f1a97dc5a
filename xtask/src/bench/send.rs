//! Sending remote-write requests over several connections.

use std::ops::Range;

use anyhow::Result;
use ferula_e2e::http::{Client, Request};
use ferula_e2e::remote_write::{self, WriteRequest};
use ferula_e2e::server::Server;

use super::accepted;

/// Connections that send at the same time.
pub(crate) const CONNECTIONS: usize = 8;

/// Prometheus sends this many samples per request by default.
pub(crate) const SAMPLES_PER_REQUEST: usize = 2_000;

/// Sends one request.
pub(crate) type Send<'a> = &'a mut dyn FnMut(&WriteRequest) -> Result<()>;

/// Lets every connection go through the steps; `requests` makes those of one connection and step.
pub(crate) fn in_steps(
    server: &Server,
    steps: Range<u64>,
    requests: impl Fn(usize, u64, Send<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let address = server.address();
    let requests = &requests;
    let run = |connection: usize, steps: Range<u64>| -> Result<()> {
        let mut client = Client::new(address);
        let mut send = |request: &WriteRequest| post(&mut client, request);
        for step in steps {
            requests(connection, step, &mut send)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let steps = steps.clone();
                scope.spawn(move || run(connection, steps))
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().expect("no sender panics"))
    })
}

/// Sends one request and checks that it was accepted.
pub(crate) fn post(client: &mut Client, request: &WriteRequest) -> Result<()> {
    let response = client.send(&Request {
        method: "POST",
        path: remote_write::PATH,
        headers: &remote_write::HEADERS,
        body: &request.body(),
    })?;
    accepted(&response)
}
