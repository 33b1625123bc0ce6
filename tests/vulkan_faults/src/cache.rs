//! A pipeline cache of the layer's own, in place of the driver's (lavapipe's is always empty): it tells on standard error
//! what a program gave it, and for each pipeline whether it was in there.
//!
//! Its data is a header and then eight bytes for each pipeline, a hash of the SPIR-V. Given anything else it says so; a
//! real driver might crash. Pipelines are made anew in any case: only the telling is about the cache.

use ash::vk;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

const HEADER: &[u8; 16] = b"layer's pipes 1\n";

static STATE: Mutex<Option<State>> = Mutex::new(None);

#[derive(Default)]
struct State {
    pipelines: BTreeSet<u64>,
    /// By shader module.
    hashes: HashMap<vk::ShaderModule, u64>,
}

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    work(STATE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// A cache is made from a program's data.
pub fn given(data: &[u8]) {
    if data.is_empty() {
        eprintln!("pipeline cache: given nothing");
        return;
    }
    let entries = data.strip_prefix(HEADER).map(|rest| rest.as_chunks::<8>());
    let Some((entries, [])) = entries else {
        eprintln!("pipeline cache: given {} bytes that are not its own", data.len());
        return;
    };
    eprintln!("pipeline cache: given {}", entries.len());
    with(|state| state.pipelines.extend(entries.iter().map(|entry| u64::from_le_bytes(*entry))));
}

/// The cache's data.
pub fn data() -> Vec<u8> {
    let entries =
        with(|state| state.pipelines.iter().flat_map(|hash| hash.to_le_bytes()).collect::<Vec<_>>());
    [&HEADER[..], &entries].concat()
}

/// A shader module was made.
pub fn module(module: vk::ShaderModule, code: &[u32]) {
    let mut hasher = DefaultHasher::new();
    code.hash(&mut hasher);
    with(|state| state.hashes.insert(module, hasher.finish()));
}

/// A pipeline is made from a module.
pub fn pipeline(module: vk::ShaderModule) {
    let known = with(|state| {
        let hash = state.hashes.get(&module).copied().unwrap_or_default();
        !state.pipelines.insert(hash)
    });
    eprintln!("pipeline cache: {}", if known { "served" } else { "made" });
}
