//! The record of what a program told the library (`CLEF_HSA_MOCK_LOG=FILE`): one line for each event, in order.
//!
//! ```text
//! queue gpu0 slots=1024
//! packet gpu0.0 kernel header=0x0d02 name=fill signal=1
//! packet gpu1.0 barrier-and header=0x0103 after=gpu0.0
//! packet npu0.0 npu header=0x1400 name=copy buffers=2
//! doorbell gpu0 newest=0 release
//! wait gpu0.0 acquire
//! ```
//!
//! Packets are recorded when their doorbell rings, in the order of the queue. A wait is recorded when it is over. The
//! 64 bytes of each packet follow as `bytes=` in hexadecimal, as they are in memory.

use crate::lock;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

#[derive(Default)]
struct Record {
    file: Option<File>,
    opened: bool,
    /// The packet that has a signal as its completion signal, as it is named in the record.
    signals: HashMap<u64, String>,
}

static RECORD: Mutex<Option<Record>> = Mutex::new(None);

fn with<T>(f: impl FnOnce(&mut Record) -> T) -> Option<T> {
    let mut record = lock(&RECORD);
    let record = record.get_or_insert_default();
    if !record.opened {
        record.opened = true;
        let path = std::env::var_os("CLEF_HSA_MOCK_LOG").filter(|v| !v.is_empty());
        record.file = path.and_then(|p| File::options().create(true).append(true).open(p).ok());
    }
    record.file.is_some().then(|| f(record))
}

/// Writes a line. Failing to write is a test's failure to find its lines.
pub fn line(text: &str) {
    with(|record| {
        if let Some(file) = &mut record.file {
            let _ = file.write_all(format!("{text}\n").as_bytes());
        }
    });
}

/// Whether there is a record at all.
pub fn wanted() -> bool {
    with(|_| ()).is_some()
}

/// Remembers whose completion signal this is.
pub fn owns(signal: u64, packet: &str) {
    with(|record| record.signals.insert(signal, packet.to_owned()));
}

/// The packet whose completion signal this is.
pub fn owner(signal: u64) -> String {
    with(|record| record.signals.get(&signal).cloned()).flatten().unwrap_or_else(|| "?".to_owned())
}
