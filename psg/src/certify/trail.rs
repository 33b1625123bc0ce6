//! What is known of each pending access, and how the plan's elements spread it.
//!
//! A [`News`] item is a fact about an access: that it ended, that its bytes were published to its device or to the
//! whole system. It travels: an agent *has* it, and every dispatch that starts where it is had *brings* it to whoever
//! waits for that dispatch. Bytes are *seen* where they were acquired.

use super::Rejection;
use crate::id::Id;
use crate::id::NodeId;
use crate::plan::{ElementKind, Family, FencePlan, Point, Scope};
use crate::skeleton::{CPU, EPOCH, NPU, Site, Skeleton};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// What the plan makes a dispatch do.
#[derive(Clone, Debug, Default)]
pub struct Order {
    acquire: Option<Scope>,
    release: Option<Scope>,
    clean: bool,
    barrier_before: bool,
    barrier_behind: bool,
    follows: SmallVec<[u32; 1]>,
}

/// The plan by site, and its waits before loops by anchor.
pub struct Orders {
    pub before_site: Vec<SmallVec<[u32; 1]>>,
    pub before_loop: Vec<SmallVec<[u32; 1]>>,
    pub packets: Vec<Order>,
    vulkan: bool,
    /// By site: does anything wait for it?
    awaited: Vec<bool>,
}

impl Orders {
    pub fn read(s: &Skeleton, plan: &FencePlan) -> Result<Self, Rejection> {
        let places = Places::new(s);
        let mut out = Self {
            before_site: vec![SmallVec::new(); s.sites.len()],
            before_loop: vec![SmallVec::new(); s.anchors.len()],
            packets: vec![Order::default(); s.sites.len()],
            vulkan: plan.table.family == Family::Vulkan,
            awaited: vec![false; s.sites.len()],
        };
        for element in &plan.elements {
            out.element(&places, &element.kind)?;
        }
        Ok(out)
    }

    fn element(&mut self, places: &Places, kind: &ElementKind) -> Result<(), Rejection> {
        match *kind {
            ElementKind::Wait { at, on } => {
                let on = self.await_on(places, on)?;
                let (node, after) = match at {
                    Point::Before(n) => (n, false),
                    Point::After(n) => (n, true),
                };
                if let Some(site) = places.site(node, after) {
                    self.before_site[site as usize].push(on);
                } else if let (Some(&anchor), false) = (places.anchors.get(&node), after) {
                    self.before_loop[anchor as usize].push(on);
                } else {
                    return Err(strange("waits where the program has nothing to wait at"));
                }
            }
            ElementKind::BarrierAnd { before, on } | ElementKind::Semaphore { before, on } => {
                let on = self.await_on(places, on)?;
                self.order(places, before)?.follows.push(on);
            }
            ElementKind::PipelineBarrier { at: Point::Before(n) } => {
                self.order(places, n)?.barrier_before = true
            }
            ElementKind::PipelineBarrier { at: Point::After(n) } => {
                self.order(places, n)?.barrier_behind = true
            }
            ElementKind::Release { dispatch: n, scope } => {
                let order = self.order(places, n)?;
                order.release = order.release.max(Some(scope));
            }
            ElementKind::Acquire { dispatch: n, scope } => {
                let order = self.order(places, n)?;
                order.acquire = order.acquire.max(Some(scope));
            }
            ElementKind::Clean { dispatch: n } => self.order(places, n)?.clean = true,
        }
        Ok(())
    }

    fn order(&mut self, places: &Places, node: NodeId) -> Result<&mut Order, Rejection> {
        Ok(&mut self.packets[places.dispatch(node)? as usize])
    }

    fn await_on(&mut self, places: &Places, node: NodeId) -> Result<u32, Rejection> {
        let on = places.dispatch(node)?;
        self.awaited[on as usize] = true;
        Ok(on)
    }
}

fn strange(what: &str) -> Rejection {
    Rejection { handoff: None, reason: format!("an element {what}") }
}

/// Sites and loops by the graph's nodes.
struct Places<'a> {
    skeleton: &'a Skeleton,
    /// By node: the site there, and the one behind it.
    sites: Vec<[u32; 2]>,
    anchors: FxHashMap<NodeId, u32>,
}

impl<'a> Places<'a> {
    const NONE: u32 = u32::MAX;

    fn new(skeleton: &'a Skeleton) -> Self {
        let nodes = skeleton.sites.iter().map(|site| site.node.index() + 1).max().unwrap_or(0);
        let mut sites = vec![[Self::NONE; 2]; nodes];
        for (i, site) in skeleton.sites.iter().enumerate() {
            sites[site.node.index()][usize::from(site.after)] = i as u32;
        }
        let anchors = skeleton.anchors.iter().enumerate().map(|(i, &n)| (n, i as u32)).collect();
        Self { skeleton, sites, anchors }
    }

    fn site(&self, node: NodeId, after: bool) -> Option<u32> {
        let site = self.sites.get(node.index())?[usize::from(after)];
        (site != Self::NONE).then_some(site)
    }

    fn dispatch(&self, node: NodeId) -> Result<u32, Rejection> {
        let site = self.site(node, false).filter(|&s| self.skeleton.sites[s as usize].dispatch);
        site.ok_or_else(|| strange("names a dispatch that the program does not have"))
    }
}

/// A fact about an access, and who has it.
#[derive(Clone, Debug, Default, PartialEq)]
struct News {
    /// Agents for which all that comes now comes after the fact, one bit each.
    had: u32,
    /// Queues whose youngest dispatch brings it.
    youngest: u32,
    /// Awaited dispatches that bring it.
    brought_by: SmallVec<[u32; 2]>,
}

impl News {
    fn bring(&mut self, queue: u8, site: u32, orders: &Orders) {
        self.youngest |= 1 << queue;
        if self.had & 1 == 0 && orders.awaited[site as usize] && !self.brought_by.contains(&site) {
            self.brought_by.push(site);
            if self.brought_by.len() > 64 {
                self.brought_by.remove(0);
            }
        }
    }

    /// News that the host has reaches every dispatch that it submits from now on, so it is at least what the other way
    /// has. It also has to be treated as more here, or the result would depend on the order of the blocks: `bring`
    /// stops to note dispatches once the host has the news.
    fn meet(&mut self, other: &News) -> bool {
        if other.had & 1 == 1 {
            return false;
        }
        let old = self.clone();
        if self.had & 1 == 1 {
            self.clone_from(other);
        } else {
            self.had &= other.had;
            self.youngest &= other.youngest;
            self.brought_by.retain(|d| other.brought_by.contains(d));
        }
        *self != old
    }
}

/// A pending access.
#[derive(Clone, Debug)]
pub struct Trail {
    pub access: u32,
    agent: u8,
    writes: bool,
    ended: News,
    /// Published at system scope (Vulkan: behind a barrier).
    published: News,
    /// Published at agent scope, by device.
    on_device: SmallVec<[News; 1]>,
    /// Agents that see the bytes.
    seen: u32,
    /// Vulkan: awaited dispatches that had the bytes when they ran.
    carriers: SmallVec<[u32; 2]>,
}

impl Trail {
    fn news(&mut self) -> impl Iterator<Item = &mut News> {
        [&mut self.ended, &mut self.published].into_iter().chain(&mut self.on_device)
    }

    /// Has this queue the bytes, so that it could pass them on?
    fn has(&self, queue: u8) -> bool {
        self.writes && (self.agent == queue || self.seen >> queue & 1 == 1)
    }

    fn meet(&mut self, other: &Trail) -> bool {
        let mut changed = self.ended.meet(&other.ended) | self.published.meet(&other.published);
        for (mine, theirs) in self.on_device.iter_mut().zip(&other.on_device) {
            changed |= mine.meet(theirs);
        }
        let old = (self.seen, self.carriers.len());
        self.seen &= other.seen;
        self.carriers.retain(|d| other.carriers.contains(d));
        changed | (old != (self.seen, self.carriers.len()))
    }

    /// What is missing for an access in `context` that comes now.
    pub fn lacks(&self, s: &Skeleton, orders: &Orders, context: u8, reads: bool) -> Option<&'static str> {
        let has = |news: &News| news.had >> context & 1 == 1;
        if !has(&self.ended) {
            return Some("the second access may start before the first has ended");
        }
        if !self.writes || self.seen >> context & 1 == 1 {
            return None;
        }
        if reads {
            return Some("the bytes of the write may not have reached the reader");
        }
        // On HSA a packet that only writes needs what was written to be published, not to acquire it.
        let gpu = context != CPU && context != NPU;
        let device = s.device(context).map_or(0, usize::from);
        let arrived =
            self.seen & 1 == 1 || has(&self.published) || self.on_device.get(device).is_some_and(has);
        if !orders.vulkan && gpu && arrived {
            return None;
        }
        Some("the earlier write may reach memory after the later one")
    }
}

/// All pending accesses, by location.
#[derive(Clone, Debug, Default)]
pub struct Trails {
    by_location: std::collections::BTreeMap<u32, Vec<Trail>>,
}

impl Trails {
    pub fn of(&self, location: u32) -> &[Trail] {
        self.by_location.get(&location).map_or(&[], Vec::as_slice)
    }

    pub fn forget(&mut self, location: u32) {
        self.by_location.remove(&location);
    }

    /// Keeps what both ways into a block agree on. Accesses pending on either way are pending.
    pub fn meet(&mut self, other: Trails) -> bool {
        let mut changed = false;
        for (location, theirs) in other.by_location {
            let mine = self.by_location.entry(location).or_default();
            for trail in theirs {
                match mine.iter_mut().find(|t| t.access == trail.access) {
                    Some(same) => changed |= same.meet(&trail),
                    None => {
                        mine.push(trail);
                        changed = true;
                    }
                }
            }
        }
        changed
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Trail> {
        self.by_location.values_mut().flatten()
    }

    /// The host waits for the newest execution of a dispatch.
    pub fn host_waits(&mut self, _s: &Skeleton, on: u32) {
        for trail in self.all() {
            for news in trail.news() {
                if news.brought_by.contains(&on) {
                    news.had |= 1;
                }
            }
            let arrived = match trail.agent {
                CPU => true,
                NPU => trail.ended.had & 1 == 1,
                _ => trail.published.had & 1 == 1,
            };
            if trail.writes && arrived {
                trail.seen |= 1;
            }
        }
    }

    /// A dispatch is submitted and starts.
    pub fn begin(&mut self, s: &Skeleton, orders: &Orders, site: u32, queue: u8, order: &Order) {
        let in_order = !orders.vulkan || queue == NPU;
        let device = s.device(queue).map_or(0, usize::from);
        let me = 1u32 << queue;
        for trail in self.all() {
            if order.barrier_before {
                trail.stream_barrier(queue);
            }
            for &on in &order.follows {
                for news in trail.news() {
                    if news.brought_by.contains(&on) {
                        news.had |= me;
                    }
                }
                if orders.vulkan && trail.writes && trail.carriers.contains(&on) {
                    trail.seen |= me;
                }
            }
            for news in trail.news() {
                // What the host knows, and on queues that run in order what the dispatch before brings, comes before.
                if news.had & 1 == 1 || (in_order && news.youngest & me != 0) {
                    news.had |= me;
                }
                if news.had & me != 0 || news.youngest & me != 0 {
                    news.bring(queue, site, orders);
                }
            }
            if trail.arrives(orders, queue, device, order) {
                trail.seen |= me;
            }
            if trail.has(queue) && orders.awaited[site as usize] && !trail.carriers.contains(&site) {
                trail.carriers.push(site);
            }
        }
    }

    /// A dispatch ends.
    pub fn end(&mut self, s: &Skeleton, orders: &Orders, site: u32, queue: u8, order: &Order) {
        if order.release.is_none() && !order.barrier_behind {
            return;
        }
        let device = s.device(queue).map_or(0, usize::from);
        for trail in self.all() {
            if trail.has(queue) && !orders.vulkan {
                if order.release.is_some() {
                    trail.on_device[device].bring(queue, site, orders);
                }
                if order.release == Some(Scope::System) {
                    trail.published.bring(queue, site, orders);
                }
            }
            if order.barrier_behind && orders.vulkan {
                trail.stream_barrier(queue);
                if trail.has(queue) {
                    trail.published.bring(queue, site, orders);
                }
            }
        }
    }

    /// An access happens.
    pub fn record(&mut self, s: &Skeleton, access: u32, site: u32, info: &Site) {
        let what = &s.accesses[access as usize];
        let writes = what.mode.writes();
        let mut ended = News::default();
        let mut carriers = SmallVec::new();
        if info.dispatch {
            ended.youngest = 1 << info.context;
            ended.brought_by.push(site);
            carriers.push(site);
        } else {
            ended.had = 1;
        }
        let own = writes && (info.context == CPU || info.context == NPU);
        let devices =
            (0..s.contexts.len() as u8).filter_map(|c| s.device(c)).max().map_or(1, |d| usize::from(d) + 1);
        let trail = Trail {
            access,
            agent: info.context,
            writes,
            ended,
            published: News::default(),
            on_device: SmallVec::from_elem(News::default(), devices),
            seen: if own { 1 << info.context } else { 0 },
            carriers,
        };
        let pending = self.by_location.entry(what.location).or_default();
        if what.covers {
            pending.clear();
        }
        pending.retain(|t| t.access != access);
        pending.push(trail);
        if pending.len() > EPOCH {
            // What comes after the newest access of an agent comes after its older ones, with all that follows.
            pending.retain(|t| t.access == access || t.agent != info.context || t.writes != writes);
        }
    }
}

impl Trail {
    /// Vulkan: orders and makes visible within a queue, and to whoever learns of the barrier.
    fn stream_barrier(&mut self, queue: u8) {
        let me = 1u32 << queue;
        for news in self.news() {
            if news.youngest & me != 0 {
                news.had |= me;
            }
        }
        if self.has(queue) {
            self.seen |= me;
            self.published.youngest |= me;
        }
    }

    /// Do the bytes become visible to a dispatch that starts now?
    fn arrives(&self, orders: &Orders, queue: u8, device: usize, order: &Order) -> bool {
        let me = 1u32 << queue;
        let host = self.seen & 1 == 1;
        if !self.writes {
            return false;
        }
        if queue == NPU {
            return match self.agent {
                CPU => order.clean,
                NPU => true,
                _ => self.published.had & 1 == 1,
            };
        }
        if orders.vulkan {
            return host;
        }
        let local = self.on_device[device].had & me != 0;
        match order.acquire {
            None => false,
            Some(Scope::Agent) => local,
            Some(Scope::System) => host || local || self.published.had & me != 0,
        }
    }
}
