//! One interpreter that compiles what it is sent.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use super::{Compiled, Compiler, marshal};
use crate::{
    project::python::isolated_command,
    words::error::{Error, Kind, Result},
};

/// The length of a `.pyc` file's head: magic number, flags, hash or time and size.
const HEAD: usize = 16;

/// An interpreter at work; ended when dropped.
#[derive(Debug)]
pub struct Worker<'c> {
    compiler: &'c Compiler<'c>,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it complains about.
    complaints: File,
}

impl<'c> Worker<'c> {
    pub(super) fn start(compiler: &'c Compiler<'c>) -> Result<Self> {
        let python = compiler.python.display();
        let cannot = |error: io::Error| {
            Error::new(Kind::Target, format!("cannot start {python} to compile")).because(error)
        };
        let complaints = tempfile::tempfile().map_err(cannot)?;
        let mut child = isolated_command(&compiler.python)
            // `-I` would ignore the hash seed, by which the members of a set are ordered.
            .args(["-S", "-s", "-B", "-c", include_str!("compile.py"), compiler.invalidation.word()])
            .arg(compiler.mtime.to_string())
            .env("PYTHONHASHSEED", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().map_err(cannot)?)
            .spawn()
            .map_err(cannot)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cannot(io::Error::other("no pipes")));
        };
        let mut worker = Worker { compiler, child, input, output: BufReader::new(output), complaints };
        let mut version = [0; 2];
        let greeted = worker.output.read_exact(&mut version);
        greeted.map_err(|error| worker.ended(format!("cannot compile with {python}"), error))?;
        let expected = compiler.version;
        if <(u8, u8)>::from(version) != expected {
            let [major, minor] = version;
            return Err(Error::new(
                Kind::Target,
                format!("{python} is Python {major}.{minor} now; expected {}.{}", expected.0, expected.1),
            )
            .help("run the same command again"));
        }
        Ok(worker)
    }

    /// Compiles a source that lies at `path`, relative to the environment.
    ///
    /// # Errors
    /// [`Kind::Target`] where the interpreter itself fails; what it has against a source is the inner error.
    pub fn compile(&mut self, path: &str, source: &[u8]) -> Result<Compiled> {
        let name = format!("{}{path}", self.compiler.prefix);
        let failed = |worker: &mut Self, error| worker.ended(format!("cannot compile {path}"), error);
        self.send(&name, source).map_err(|error| failed(self, error))?;
        let (done, answer) = self.receive().map_err(|error| failed(self, error))?;
        if !done {
            return Ok(Err(String::from_utf8_lossy(&answer).into_owned()));
        }
        let Some((head, code)) = answer.split_at_checked(HEAD) else {
            return Ok(Err("the interpreter gave no bytecode".to_owned()));
        };
        let code = marshal::canonical(code, self.compiler.shape)
            .map_err(|why| format!("the interpreter gave bytecode that cannot be read: {why}"));
        Ok(code.map(|code| [head, &code].concat()))
    }

    fn send(&mut self, name: &str, source: &[u8]) -> io::Result<()> {
        for part in [name.as_bytes(), source] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.input.write_all(&length.to_le_bytes())?;
            self.input.write_all(part)?;
        }
        self.input.flush()
    }

    fn receive(&mut self) -> io::Result<(bool, Vec<u8>)> {
        let mut head = [0; 5];
        self.output.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let mut answer = Vec::new();
        (&mut self.output).take(length.into()).read_to_end(&mut answer)?;
        if answer.len() as u64 != u64::from(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((head[0] == 1, answer))
    }

    /// Why the interpreter does not answer any more.
    fn ended(&mut self, what: String, error: io::Error) -> Error {
        let mut said = String::new();
        let read = self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut said));
        let reason = read.ok().and_then(|_| said.lines().rfind(|line| !line.trim().is_empty()));
        let python = self.compiler.python.display();
        let cause = match (reason, self.status()) {
            (Some(reason), _) => format!("{python} ended: {reason}"),
            (None, Some(status)) => format!("{python} ended with {status}"),
            (None, None) => return Error::new(Kind::Target, what).because(error),
        };
        Error::new(Kind::Target, what)
            .because(Error::new(Kind::Target, cause))
            .help("leave --compile out, or use another interpreter (--python)")
    }

    /// How it ended; waits a moment for the end of what closed its pipes.
    fn status(&mut self) -> Option<ExitStatus> {
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
