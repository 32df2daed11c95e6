//! What is said where venvoy itself is at fault: a panic is told apart from an error, and shows nothing that came from
//! elsewhere.

use std::{
    any::Any,
    io::Write as _,
    panic::{Location, PanicHookInfo},
};

use crate::words::error::Kind;

/// The exit code: what `sysexits.h` has for a fault of the program itself.
const CODE: i32 = 70;

/// Has every panic, of whatever thread, end the process with what there is to report. Nothing is half then: it is as if the
/// process had been killed.
pub(super) fn listen() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let payload = panic.payload();
        let (said, code) = match without_memory(payload) {
            Some(said) => (said.to_owned(), i32::from(Kind::Io.exit_code())),
            None => (report(payload, panic.location()), CODE),
        };
        // Where standard error is closed nobody hears it.
        let _ = std::io::stderr().write_all(said.as_bytes());
        std::process::exit(code);
    }));
}

/// What to say where a library panics because it got no memory: that is the machine's doing.
fn without_memory(payload: &(dyn Any + Send)) -> Option<&'static str> {
    let said = payload.downcast_ref::<&'static str>()?;
    said.ends_with("out of memory").then_some(
        "error: there is not enough memory\n  help: give it more, or fewer threads (--threads 1); nothing is half done\n",
    )
}

/// Only what stands in the code is shown. Text that was put together may hold a URL, a path or a value from elsewhere.
fn report(payload: &(dyn Any + Send), at: Option<&Location<'_>>) -> String {
    let said = payload.downcast_ref::<&'static str>().copied().unwrap_or("(not shown: it may hold a secret)");
    let at =
        at.map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", short(at.file()), at.line()));
    format!(
        "fault: venvoy {} met what it should not, at {at}: {said}\n  what it was at work on is as before, or finished by the next run\n  \
         help: this is no error of yours; report it at {}/issues with this text and what `venvoy doctor` prints\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_REPOSITORY"),
    )
}

/// A source file without the directory in which somebody's cargo keeps the registry's.
fn short(file: &str) -> &str {
    let inner = file.split_once("/registry/src/").and_then(|(_, inner)| inner.split_once('/'));
    inner.map_or(file, |(_, inner)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_of_the_registry_is_named_by_itself() {
        assert_eq!(
            short("/home/me/.cargo/registry/src/index-1/tokio-1.2.3/src/a.rs"),
            "tokio-1.2.3/src/a.rs"
        );
        assert_eq!(short("src/run/cli/fault.rs"), "src/run/cli/fault.rs");
    }

    #[test]
    fn a_library_without_memory_is_no_fault() {
        let of = |text: &'static str| without_memory(&text as &(dyn Any + Send)).map(str::len);
        assert!(of("libdeflate_alloc_compressor returned NULL: out of memory") > Some(0));
        assert_eq!(of("index out of bounds"), None);
    }

    #[test]
    fn text_that_was_put_together_is_not_shown() {
        let at = Location::caller();
        let literal: Box<dyn Any + Send> = Box::new("a reference is no tag");
        let told = report(&*literal, Some(at));
        assert!(told.contains("fault.rs:") && told.contains(": a reference is no tag\n"), "{told}");
        assert!(told.contains("/issues with this text and what `venvoy doctor` prints\n"), "{told}");
        let made: Box<dyn Any + Send> = Box::new(format!("cannot read https://me:{}@h", "canary"));
        let told = report(&*made, None);
        assert!(!told.contains("canary") && told.contains("(not shown: it may hold a secret)"), "{told}");
    }
}
