//! What is known, at one point of a program, about each access that a later one may conflict with.
//!
//! Per pending access there is a [`Token`]; per token a few [`Fact`]s ("it has ended", "its bytes were released at
//! system scope by a packet that has ended"). A fact is *known* to a context when everything that the context does from
//! now on comes after it, and *implied* by a dispatch when the end of that dispatch's newest execution tells it.
//! The rules are those of docs/fences.md; they are applied here event by event and nowhere else in `fences`.

use crate::plan::{Family, Scope};
use crate::skeleton::{CPU, NPU, Skeleton};
use smallvec::SmallVec;

/// Newest dispatches that are remembered per fact. Forgetting one only makes the analysis more careful.
const REMEMBERED: usize = 24;

/// A set of contexts. There are at most 34: the host, the NPU, and eight queues of each of four GPUs.
pub type Set = u64;

pub const fn bit(context: u8) -> Set {
    1 << context
}

/// What a wait or semaphore is on: a dispatch site, or (in searches) the newest dispatch of a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    Site(u32),
    Newest(u8),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fact {
    /// Contexts that know it.
    pub known: Set,
    /// Contexts whose newest dispatch implies it.
    pub implied: Set,
    /// Sites whose newest execution implies it.
    pub sites: Sites,
}

pub type Sites = SmallVec<[u32; 2]>;

fn remember(sites: &mut Sites, site: u32) {
    if sites.last() == Some(&site) {
        return;
    }
    sites.retain(|s| *s != site);
    if sites.len() == REMEMBERED {
        sites.remove(0);
    }
    sites.push(site);
}

impl Fact {
    fn told_by(&self, on: On) -> bool {
        match on {
            On::Site(site) => self.sites.contains(&site),
            On::Newest(context) => self.implied & bit(context) != 0,
        }
    }

    /// What the host knows, everything that it submits from now on comes after: whatever the other way brings along is
    /// true on this one too. (Without that, a fact that a queue stopped carrying since the host knew it would be lost
    /// where the ways meet.)
    fn join(&mut self, other: &Fact) -> bool {
        match (self.known & bit(CPU) != 0, other.known & bit(CPU) != 0) {
            (_, true) => false,
            (true, false) => {
                *self = other.clone();
                true
            }
            (false, false) => {
                let before = (self.known, self.implied, self.sites.len());
                self.known &= other.known;
                self.implied &= other.implied;
                self.sites.retain(|s| other.sites.contains(s));
                before != (self.known, self.implied, self.sites.len())
            }
        }
    }
}

/// The places of facts in [`Token::facts`]; a token of a read has the first only.
pub const ENDED: usize = 0;
pub const SYSTEM: usize = 1;
/// Released at agent scope, by device: this one and those that follow.
pub const AGENT: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub location: u32,
    pub access: u32,
    /// Where the access happened.
    pub origin: u8,
    pub writes: bool,
    /// Contexts to which a write is visible.
    pub visible: Set,
    pub facts: SmallVec<[Fact; 3]>,
    /// Dispatches that ran when the bytes were visible in their queue, or that wrote them.
    pub holders: Sites,
}

impl Token {
    /// Could a release of this queue publish the bytes?
    pub fn held_by(&self, queue: u8) -> bool {
        self.writes && (self.origin == queue || self.visible & bit(queue) != 0)
    }

    fn join(&mut self, other: &Token) -> bool {
        let before = (self.visible, self.holders.len());
        self.visible &= other.visible;
        self.holders.retain(|s| other.holders.contains(s));
        let mut changed = before != (self.visible, self.holders.len());
        for (mine, theirs) in self.facts.iter_mut().zip(&other.facts) {
            changed |= mine.join(theirs);
        }
        changed
    }
}

/// What a dispatch does besides its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    pub acquire: Option<Scope>,
    pub release: Option<Scope>,
    pub clean: bool,
    /// Vulkan: a barrier before it, behind it.
    pub before: bool,
    pub behind: bool,
    /// Dispatches of other queues that it follows.
    pub after: SmallVec<[u32; 1]>,
}

/// The rules' constants.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub skeleton: &'a Skeleton,
    pub family: Family,
    /// Number of GPU devices.
    pub devices: usize,
    /// Are [`Fact::sites`] kept? Searches do without.
    pub sites: bool,
}

impl<'a> Rules<'a> {
    pub fn new(skeleton: &'a Skeleton, family: Family) -> Self {
        let devices = (0..skeleton.contexts.len() as u8).filter_map(|c| skeleton.device(c)).max();
        Self { skeleton, family, devices: devices.map_or(1, |d| d as usize + 1), sites: true }
    }

    pub(super) fn agent_fact(&self, context: u8) -> usize {
        AGENT + self.skeleton.device(context).unwrap_or(0) as usize
    }
}

/// Tokens, sorted by location and access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub tokens: Vec<Token>,
}

impl State {
    /// The tokens of a location, as a range.
    pub fn of(&self, location: u32) -> std::ops::Range<usize> {
        let from = self.tokens.partition_point(|t| t.location < location);
        let len = self.tokens[from..].iter().take_while(|t| t.location == location).count();
        from..from + len
    }

    /// Keeps what holds in both. True where this state changed.
    pub fn join(&mut self, other: &State) -> bool {
        let mut changed = false;
        let mut out = Vec::with_capacity(self.tokens.len());
        let mut theirs = other.tokens.iter().peekable();
        for mut mine in std::mem::take(&mut self.tokens) {
            let key = (mine.location, mine.access);
            while let Some(t) = theirs.next_if(|t| (t.location, t.access) < key) {
                out.push(t.clone());
                changed = true;
            }
            if let Some(t) = theirs.next_if(|t| (t.location, t.access) == key) {
                changed |= mine.join(t);
            }
            out.push(mine);
        }
        changed |= theirs.peek().is_some();
        out.extend(theirs.cloned());
        self.tokens = out;
        changed
    }

    /// The host waits.
    pub fn wait(&mut self, on: On) {
        for token in &mut self.tokens {
            for fact in &mut token.facts {
                if fact.told_by(on) {
                    fact.known |= bit(CPU);
                }
            }
            token.settle_host();
        }
    }

    /// A semaphore or barrier-and packet: `queue` follows a dispatch of queue `from`.
    pub fn follow(&mut self, rules: Rules, queue: u8, from: u8, on: On) {
        for token in &mut self.tokens {
            for fact in &mut token.facts {
                if fact.told_by(on) {
                    fact.known |= bit(queue);
                }
            }
            if rules.family == Family::Vulkan {
                let held = match on {
                    On::Site(site) => token.holders.contains(&site),
                    On::Newest(_) => token.held_by(from),
                };
                if token.writes && held {
                    token.visible |= bit(queue);
                }
            }
        }
    }

    /// Vulkan: a barrier in a queue's stream. `behind`: the dispatch that it stands behind, where its signal waits for
    /// the barrier too.
    pub fn pipeline_barrier(&mut self, rules: Rules, queue: u8, behind: Option<u32>) {
        for token in &mut self.tokens {
            for fact in &mut token.facts {
                if fact.implied & bit(queue) != 0 {
                    fact.known |= bit(queue);
                }
            }
            if token.held_by(queue) {
                token.visible |= bit(queue);
                let fact = &mut token.facts[SYSTEM];
                fact.implied |= bit(queue);
                if let (Some(site), true) = (behind, rules.sites) {
                    remember(&mut fact.sites, site);
                }
            }
        }
    }

    /// A dispatch starts: what its queue knows and sees from here on. Barriers and semaphores came before.
    pub fn start(&mut self, rules: Rules, queue: u8, site: u32, acquire: Option<Scope>, clean: bool) {
        let in_order = rules.family == Family::Hsa || queue == NPU;
        let me = bit(queue);
        let agent = rules.agent_fact(queue);
        for token in &mut self.tokens {
            for fact in &mut token.facts {
                if fact.known & (bit(CPU) | me) != 0 || (in_order && fact.implied & me != 0) {
                    fact.known |= me;
                    fact.implied |= me;
                }
                if rules.sites && fact.implied & me != 0 && fact.known & bit(CPU) == 0 {
                    remember(&mut fact.sites, site);
                }
            }
            if token.writes {
                token.see(rules, queue, agent, acquire, clean);
                if rules.sites && token.held_by(queue) {
                    remember(&mut token.holders, site);
                }
            }
        }
    }

    /// A dispatch's end, after its tokens were added: its release.
    pub fn release(&mut self, rules: Rules, queue: u8, site: u32, scope: Scope) {
        let agent = rules.agent_fact(queue);
        for token in self.tokens.iter_mut().filter(|t| t.held_by(queue)) {
            let facts: &[usize] = if scope == Scope::System { &[agent, SYSTEM] } else { &[agent] };
            for &f in facts {
                let fact = &mut token.facts[f];
                fact.implied |= bit(queue);
                if rules.sites {
                    remember(&mut fact.sites, site);
                }
            }
        }
    }

    /// The host or a dispatch makes an access.
    pub fn add(&mut self, rules: Rules, access: u32, context: u8, site: u32, dispatch: bool) {
        let info = &rules.skeleton.accesses[access as usize];
        let (location, writes) = (info.location, info.mode.writes());
        let range = self.of(location);
        if info.covers {
            self.tokens.drain(range.clone());
        }
        let n = if writes { AGENT + rules.devices } else { 1 };
        let mut facts: SmallVec<[Fact; 3]> = SmallVec::from_elem(Fact::default(), n);
        let mut holders = Sites::new();
        if dispatch {
            facts[ENDED].implied = bit(context);
            if rules.sites {
                facts[ENDED].sites.push(site);
                holders.push(site);
            }
        } else {
            facts[ENDED].known = bit(CPU);
        }
        let visible = if writes && (context == CPU || context == NPU) { bit(context) } else { 0 };
        let token = Token { location, access, origin: context, writes, visible, facts, holders };
        let from = range.start;
        let len = if info.covers { 0 } else { range.len() };
        match self.tokens[from..from + len].binary_search_by_key(&access, |t| t.access) {
            Ok(at) => self.tokens[from + at] = token,
            Err(at) => self.tokens.insert(from + at, token),
        }
    }

    /// Does the plan so far satisfy the handoff from this token to an access in `context`?
    pub fn satisfied(rules: Rules, token: &Token, context: u8, reads: bool) -> bool {
        let me = bit(context);
        if token.facts[ENDED].known & me == 0 {
            return false;
        }
        if !token.writes || token.visible & me != 0 {
            return true;
        }
        let gpu = context != CPU && context != NPU;
        !reads
            && gpu
            && rules.family == Family::Hsa
            && (token.visible & bit(CPU) != 0
                || token.facts[rules.agent_fact(context)].known & me != 0
                || token.facts[SYSTEM].known & me != 0)
    }
}

impl Token {
    /// What the host sees after it learned something.
    pub(super) fn settle_host(&mut self) {
        if !self.writes {
            return;
        }
        let needed = if self.origin == NPU { ENDED } else { SYSTEM };
        if self.origin != CPU && self.facts[needed].known & bit(CPU) != 0 {
            self.visible |= bit(CPU);
        }
    }

    /// What a starting dispatch of `queue` sees.
    fn see(&mut self, rules: Rules, queue: u8, agent: usize, acquire: Option<Scope>, clean: bool) {
        let me = bit(queue);
        let host = self.visible & bit(CPU) != 0;
        let sees = if queue == NPU {
            match self.origin {
                CPU => clean,
                NPU => true,
                _ => self.facts[SYSTEM].known & bit(CPU) != 0,
            }
        } else if rules.family == Family::Vulkan {
            host
        } else {
            match acquire {
                None => false,
                Some(Scope::Agent) => self.facts[agent].known & me != 0,
                Some(Scope::System) => {
                    host || self.facts[agent].known & me != 0 || self.facts[SYSTEM].known & me != 0
                }
            }
        };
        if sees {
            self.visible |= me;
        }
    }
}
