//! A scrape target inside the test: it serves whatever text the test makes up.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::process::free_address;

/// Makes the page for one scrape of a path.
pub type Page = dyn Fn(&str) -> String + Send + Sync;

/// Serves until dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Exporter {
    /// Starts serving `page` for every request, in the text format.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(page: impl Fn(&str) -> String + Send + Sync + 'static) -> Result<Self> {
        let address = free_address()?;
        let listener = TcpListener::bind(address)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, page) = (Arc::clone(&stop), Arc::new(page));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // One thread per connection; it ends when the scraper hangs up.
                let page = Arc::clone(&page);
                std::thread::spawn(move || serve(stream, &*page));
            }
        });
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread out of `accept`.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers requests on one connection; the error that ends it is the scraper hanging up.
fn serve(stream: TcpStream, page: &Page) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        reader.read_line(&mut request).ok()?;
        let path = request.split(' ').nth(1)?.to_owned();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        let body = page(&path);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let stream = reader.get_mut();
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
    }
}
