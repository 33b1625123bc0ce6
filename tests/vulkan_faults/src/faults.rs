//! What the layer is asked for: `CLEF_VULKAN_FAULTS`, words separated by spaces.
//!
//! | word | the device |
//! |---|---|
//! | `groups=N` | launches at most N workgroups in each dimension |
//! | `invocations=N` | has workgroups of at most N work-items, in all and in each dimension |
//! | `shared=N` | has N bytes of workgroup memory |
//! | `without=A,B` | lacks features: `f64`, `f16`, `i16`, `i8`, `store16`, `store8`, `i64`, `subgroups` |
//! | `memory=N` | gives no allocation of more than N bytes |
//! | `lose=submit:N`, `lose=wait:N` | is lost at the N-th submission or wait, counted from 1, and stays so |
//! | `cache=told` | has a pipeline cache that says on standard error what it was given and what it served ([`crate::cache`]) |
//!
//! A word that is not understood ends the process: a test must not pass because of a typing error.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The wishes.
#[derive(Default)]
pub struct Faults {
    pub groups: Option<u32>,
    pub invocations: Option<u32>,
    pub shared: Option<u32>,
    pub memory: Option<u64>,
    pub tells_cache: bool,
    without: Vec<String>,
    lose: Option<(Event, u32)>,
}

/// Where a device can be lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Submit,
    Wait,
}

static LOST: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicU32 = AtomicU32::new(0);

impl Faults {
    pub fn lacks(&self, feature: &str) -> bool {
        self.without.iter().any(|w| w == feature)
    }
}

/// What the environment asks for.
pub fn get() -> &'static Faults {
    static FAULTS: OnceLock<Faults> = OnceLock::new();
    FAULTS.get_or_init(|| {
        let text = std::env::var("CLEF_VULKAN_FAULTS").unwrap_or_default();
        parse(&text).unwrap_or_else(|word| {
            eprintln!("CLEF_VULKAN_FAULTS: `{word}` is not understood");
            std::process::exit(3);
        })
    })
}

fn parse(text: &str) -> Result<Faults, String> {
    let mut faults = Faults::default();
    for word in text.split_whitespace() {
        let wrong = || word.to_owned();
        let (key, value) = word.split_once('=').ok_or_else(wrong)?;
        let number = || value.parse::<u32>().map_err(|_| wrong());
        match key {
            "groups" => faults.groups = Some(number()?),
            "invocations" => faults.invocations = Some(number()?),
            "shared" => faults.shared = Some(number()?),
            "memory" => faults.memory = Some(u64::from(number()?)),
            "cache" if value == "told" => faults.tells_cache = true,
            "without" => faults.without = value.split(',').map(str::to_owned).collect(),
            "lose" => {
                let (event, at) = value.split_once(':').ok_or_else(wrong)?;
                let event = match event {
                    "submit" => Event::Submit,
                    "wait" => Event::Wait,
                    _ => return Err(wrong()),
                };
                faults.lose = Some((event, at.parse().map_err(|_| wrong())?));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(faults)
}

/// Whether the device is lost now that this happens.
pub fn loses(event: Event) -> bool {
    if let Some((at, number)) = get().lose
        && at == event
        && SEEN.fetch_add(1, Ordering::Relaxed) + 1 >= number
    {
        LOST.store(true, Ordering::Relaxed);
    }
    is_lost()
}

/// Whether the device was lost before.
pub fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}
