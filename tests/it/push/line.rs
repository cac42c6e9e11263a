//! A line between an agent and the front desk, as bad as a test wants it: it breaks at random bytes, and carries so much a second.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

pub struct Line {
    at: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: Mutex<SocketAddr>,
    /// How many bytes a connection carries to the desk before it breaks; none: it holds.
    breaks: Mutex<Option<Range<u64>>>,
    random: Mutex<StdRng>,
    /// After each piece of what is carried.
    pause: Duration,
    /// To the desk.
    carried: AtomicU64,
    broken: AtomicU64,
    over: AtomicBool,
}

impl Line {
    pub fn new(to: SocketAddr, breaks: Option<Range<u64>>, pause: Duration, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            to: Mutex::new(to),
            breaks: Mutex::new(breaks),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            pause,
            carried: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let shares = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if shares.over.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(near), to) = (socket, *shares.to.lock().unwrap()) else { continue };
                // A desk that is down: the agent is told as it would be without a line between.
                let Ok(far) = TcpStream::connect(to) else { continue };
                let shares = shares.clone();
                std::thread::spawn(move || shares.carry(&near, &far));
            }
        });
        Self { at, shared }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.at)
    }

    /// To another desk from now on.
    pub fn lead(&self, to: SocketAddr) {
        *self.shared.to.lock().unwrap() = to;
    }

    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::SeqCst)
    }

    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes whoever listens, who then sees that it is over.
        TcpStream::connect(self.at).ok();
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, near: &TcpStream, far: &TcpStream) {
        let room = self.breaks.lock().unwrap().clone().map(|range| self.random.lock().unwrap().random_range(range));
        let (back_from, back_to) = (far.try_clone().expect("cloned"), near.try_clone().expect("cloned"));
        std::thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            let mut from = &back_from;
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if (&back_to).write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            back_to.shutdown(Shutdown::Both).ok();
        });
        let (mut from, mut to, mut left) = (near, far, room.unwrap_or(u64::MAX));
        let mut bytes = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let read = left.min(read as u64) as usize;
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
            self.carried.fetch_add(read as u64, Ordering::SeqCst);
            left -= read as u64;
            if left == 0 {
                self.broken.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
        for socket in [near, far] {
            socket.shutdown(Shutdown::Both).ok();
        }
    }
}
