//! Servers that are programs: started, waited for, ended with their test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A running program, killed when dropped.
pub struct Running(Child);

impl Running {
    /// Starts `command` and waits until it listens on `port`; `package` is the Debian (or Python) package
    /// to name where the program is missing.
    pub fn start(command: &mut Command, port: u16, package: &str) -> Self {
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}; install {package}", command.get_program().display())
        });
        let mut running = Running(child);
        running.wait_for(port);
        running
    }

    fn wait_for(&mut self, port: u16) {
        // A busy machine may take its time.
        let end = Instant::now() + Duration::from_mins(3);
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            if let Some(status) = self.0.try_wait().expect("a status") {
                panic!("the server ended with {status} before it listened");
            }
            assert!(Instant::now() < end, "the server does not listen on port {port}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command behind that of a program which starts it, such as strace: with its arguments, directory and environment.
pub fn started_by(mut starter: Command, command: &Command) -> Command {
    starter.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
    starter.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        starter.current_dir(directory);
    }
    starter
}

/// A port that nobody listens on now. It is below those that the kernel gives to connections and to servers that
/// take any port, so that no other test gets it before it is used.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let first = std::process::id() * 97;
    let mut next =
        std::iter::repeat_with(|| GIVEN.fetch_add(1, Ordering::Relaxed).wrapping_add(first) % 22_000);
    let ports = next.by_ref().map(|number| 10_000 + u16::try_from(number).expect("below 22000"));
    ports.take(1_000).find(free).expect("a free port")
}
