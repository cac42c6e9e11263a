//! The listener: who may have a connection, with or without TLS from the start, and how it ends with the process.
//! Promise: a connection too many costs one short answer; a stop lets messages under way end, and cuts what still runs
//! after the time that it gives.

use std::{fmt, io, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    Certificate, Limits, Postbox,
    landings::Landings,
    peers::{self, Peers},
    reply,
    session::Session,
    wire::Socket,
};

/// After an `accept` that failed, which is a machine out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SMTP, with STARTTLS where there is a certificate.
    Smtp,
    /// SMTP over TLS from the first byte.
    Smtps,
    /// LMTP: an answer for each recipient. For a mail server on the same machine.
    Lmtp,
}

/// A bound address.
#[derive(Debug)]
pub enum Door {
    Tcp(TcpListener, Kind),
    Unix(UnixListener),
}

/// What all connections share.
pub struct Server {
    pub(super) postbox: Arc<dyn Postbox>,
    pub(super) limits: Limits,
    /// As it calls itself.
    pub(super) name: String,
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Over SMTP nothing is taken in the clear.
    pub(super) tls_required: bool,
    pub(super) landings: Landings,
    seats: Arc<Semaphore>,
    peers: Arc<Peers>,
}

impl Server {
    pub fn new(
        postbox: Arc<dyn Postbox>,
        limits: Limits,
        name: String,
        certificate: Option<Arc<Certificate>>,
        tls_required: bool,
    ) -> Self {
        let landings = Landings::new(limits.landings_max, limits.group_landings_max);
        let seats = Arc::new(Semaphore::new(limits.connections_max));
        Self { postbox, limits, name, certificate, tls_required, landings, seats, peers: Arc::default() }
    }

    /// Answers at these doors until it is stopped, and after that for `drain` at most.
    pub async fn serve(self: Arc<Self>, doors: Vec<Door>, stop: watch::Receiver<bool>, drain: Duration) {
        let mut accepting = JoinSet::new();
        for door in doors {
            accepting.spawn(self.clone().at(door, stop.clone(), drain));
        }
        let renewing = async {
            match &self.certificate {
                Some(certificate) => certificate.renew().await,
                None => std::future::pending().await,
            }
        };
        let accepted = async { while accepting.join_next().await.is_some() {} };
        tokio::select! {
            () = accepted => {}
            () = renewing => {}
        }
    }

    async fn at(self: Arc<Self>, door: Door, mut stop: watch::Receiver<bool>, drain: Duration) {
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                // An error means that nobody is left who could ask for a stop.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
                accepted = accept(&door) => accepted,
            };
            match accepted {
                Ok((socket, ip, kind)) => {
                    if let Some(session) = self.seated(socket, ip, kind, stop.clone()) {
                        sessions.spawn(session);
                    }
                }
                Err(error) => {
                    tracing::warn!(target: "smtp.accept", %error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(door);
        let until = Instant::now() + drain;
        while let Ok(Some(_)) = tokio::time::timeout_at(until, sessions.join_next()).await {}
        sessions.abort_all();
        while sessions.join_next().await.is_some() {}
    }

    /// The session of a connection that has a seat; one without is told so and closed.
    fn seated(
        self: &Arc<Self>,
        mut socket: Stream,
        ip: Option<IpAddr>,
        kind: Kind,
        stop: watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let seat = self.seats.clone().try_acquire_owned().ok();
        let of_peer = peers::seat(&self.peers, ip, self.limits.peer_connections_max);
        let (Some(seat), Some(of_peer)) = (seat, of_peer) else {
            if kind != Kind::Smtps {
                socket.say(reply::TOO_MANY_CONNECTIONS);
            }
            return None;
        };
        let server = self.clone();
        Some(async move {
            let _held = (seat, of_peer);
            // On the heap, so that a connection that waits for its turn is small.
            Box::pin(Session::run(server, socket.boxed(), ip, kind, stop)).await;
        })
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Stream {
    /// What fits at once; a client whose window is shut on its first line gets none.
    fn say(&mut self, text: &str) {
        let line = format!("{text}\r\n");
        let said = match self {
            Stream::Tcp(socket) => socket.try_write(line.as_bytes()),
            Stream::Unix(socket) => socket.try_write(line.as_bytes()),
        };
        if let Err(error) = said {
            tracing::debug!(target: "smtp.gone", %error);
        }
    }

    fn boxed(self) -> Box<dyn Socket> {
        match self {
            Stream::Tcp(socket) => Box::new(socket),
            Stream::Unix(socket) => Box::new(socket),
        }
    }
}

async fn accept(door: &Door) -> io::Result<(Stream, Option<IpAddr>, Kind)> {
    match door {
        Door::Tcp(listener, kind) => {
            let (socket, address) = listener.accept().await?;
            socket.set_nodelay(true)?;
            Ok((Stream::Tcp(socket), Some(address.ip().to_canonical()), *kind))
        }
        Door::Unix(listener) => {
            let (socket, _) = listener.accept().await?;
            Ok((Stream::Unix(socket), None, Kind::Lmtp))
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("limits", &self.limits).finish_non_exhaustive()
    }
}
