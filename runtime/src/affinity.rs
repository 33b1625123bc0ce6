//! Where the pool's workers run (`CLEF_AFFINITY`): unset or `none`, wherever the system likes; `auto`, each on a
//! processor of its own among those that the process may use; a list (`0,2,4-7`), those processors in that order.
//!
//! The n-th worker takes the n-th processor of the list; the first is left to the thread that starts loops, which is
//! never bound itself, because threads inherit that. With fewer processors than threads they go round. A list that
//! cannot be used ends the program.

use crate::{start, stop};
use std::sync::OnceLock;

/// Processors that the system's sets of this size can name.
const MOST: usize = libc::CPU_SETSIZE as usize;

/// Binds this thread, the pool's `worker`-th (from 1), if that was asked for.
pub fn bind(worker: usize) {
    let Some(list) = list() else { return };
    let Some(&processor) = list.get(worker % list.len().max(1)) else { return };
    // SAFETY: a set of zeroes is valid; the number was checked against the set's size.
    let failed = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) != 0
    };
    if failed {
        let why = std::io::Error::last_os_error();
        stop::fatal(format_args!("CLEF_AFFINITY: a worker cannot run on processor {processor}: {why}"));
    }
}

/// The list that was asked for. Looked at before workers start, so that a mistake is found by the program's own thread.
pub fn list() -> Option<&'static [usize]> {
    static LIST: OnceLock<Option<Vec<usize>>> = OnceLock::new();
    LIST.get_or_init(|| match start::variable_text(c"CLEF_AFFINITY")? {
        "none" => None,
        "auto" => Some(allowed()),
        text => match parse(text) {
            Ok(list) => {
                let allowed = allowed();
                if let Some(bad) = list.iter().find(|p| !allowed.contains(p)) {
                    stop::fatal(format_args!("CLEF_AFFINITY names processor {bad}; the process may use {allowed:?}"));
                }
                Some(list)
            }
            Err(part) => stop::fatal(format_args!(
                "CLEF_AFFINITY is `{text}`, and `{part}` is no processor; it must be `none`, `auto` or a list like 0,2,4-7"
            )),
        },
    })
    .as_deref()
}

/// Processors that the process may use.
fn allowed() -> Vec<usize> {
    // SAFETY: a set of zeroes is valid, and the call writes no more than its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Vec::new();
        }
        (0..MOST).filter(|&p| libc::CPU_ISSET(p, &set)).collect()
    }
}

/// `0,2,4-7`; an error is the part that is wrong.
fn parse(text: &str) -> Result<Vec<usize>, &str> {
    let mut list = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < MOST => list.extend(first..=last),
            _ => return Err(part),
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_and_mistakes_are_named() {
        assert_eq!(parse("3,0-2, 7"), Ok(vec![3, 0, 1, 2, 7]));
        for (text, bad) in
            [("", ""), ("1,,2", ""), ("2-1", "2-1"), ("0,x", "x"), ("1024", "1024"), ("0--1", "0--1")]
        {
            assert_eq!(parse(text), Err(bad), "{text}");
        }
    }

    #[test]
    fn this_thread_may_run_somewhere() {
        assert!(!allowed().is_empty());
    }
}
