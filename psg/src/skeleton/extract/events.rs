//! What an abstract run writes down: sites, accesses, and the events of host statements, dispatches and foreign calls.
//!
//! Each event has one site, and each location that it may touch one access; running a node again joins into these. It
//! does not decide what follows from an event: that is the analysis's work.

use super::super::values::Val;
use super::super::{Block, CPU, Site, Step};
use super::{Frame, Run};
use crate::id::NodeId;
use crate::node::Op;
use crate::plan::{Access, AccessKind, Context, LocationKind, Mode};
use smallvec::SmallVec;
use std::collections::BTreeMap;

impl Run<'_> {
    fn site(&mut self, node: NodeId, after: bool, context: u8, dispatch: bool) -> u32 {
        let next = self.out.sites.len() as u32;
        let site = *self.sites.entry((node, after)).or_insert(next);
        if site == next {
            self.out.sites.push(Site { node, context, dispatch, after });
        }
        site
    }

    pub(super) fn host(&mut self, id: NodeId, buffer: &Val, mode: Mode, out: &mut Block) -> Val {
        let list = self.reached(buffer, mode, false);
        self.touch(id, false, CPU, false, &list, &AccessKind::Host, out);
        Val::Scalar
    }

    /// The locations of an address, with how they are touched. Several: each perhaps.
    fn reached(&mut self, value: &Val, mode: Mode, covers: bool) -> Vec<(u32, Mode, bool)> {
        if *value == Val::Bottom {
            return Vec::new();
        }
        let flat = value.flat();
        let mut locations = flat.locations;
        if locations.is_empty() {
            locations.insert(self.unknown());
        }
        if self.unknown.is_some_and(|u| locations.contains(&u)) {
            let any = |kind: &LocationKind| !matches!(kind, LocationKind::Handle(_));
            locations.extend(
                (0..self.out.locations.len() as u32).filter(|&l| any(&self.out.locations[l as usize].kind)),
            );
        }
        let certain = locations.len() == 1 && !flat.offset;
        locations.into_iter().map(|l| (l, mode, covers && certain)).collect()
    }

    /// Writes an event down.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn touch(
        &mut self,
        node: NodeId,
        after: bool,
        context: u8,
        dispatch: bool,
        list: &[(u32, Mode, bool)],
        what: &AccessKind,
        out: &mut Block,
    ) {
        if list.is_empty() && !dispatch {
            return;
        }
        let site = self.site(node, after, context, dispatch);
        let label = match what {
            AccessKind::Extern(x) => self.extern_agent(*x),
            AccessKind::Host | AccessKind::Kernel(_) | AccessKind::Boundary => {
                self.out.contexts[context as usize]
            }
        };
        let mut merged: BTreeMap<u32, (Mode, bool)> = BTreeMap::new();
        for &(location, mode, covers) in list {
            merged
                .entry(location)
                .and_modify(|m| *m = (m.0.join(mode), m.1 || covers))
                .or_insert((mode, covers));
        }
        let mut accesses: SmallVec<[u32; 3]> = SmallVec::new();
        for (location, (mode, covers)) in merged {
            let next = self.out.accesses.len() as u32;
            let index = *self.accesses.entry((site, location)).or_insert(next);
            if index == next {
                let access = Access { node, context: label, mode, covers, location, what: what.clone() };
                self.out.accesses.push(access);
                self.out.access_site.push(site);
                self.uncertain.push(!covers);
            } else {
                let access = &mut self.out.accesses[index as usize];
                access.mode = access.mode.join(mode);
                self.uncertain[index as usize] |= !covers;
            }
            accesses.push(index);
        }
        out.push(Step::Event { site, accesses });
    }

    pub(super) fn dispatch(&mut self, id: NodeId, frame: &mut Frame, out: &mut Block) -> Val {
        let node = &self.psg.nodes[id];
        let Op::Dispatch { kernel, .. } = &node.op else { return Val::Scalar };
        let facts = self.kernels.kernels.get(*kernel);
        let context = dispatch_context(&node.op).unwrap_or(Context::Cpu);
        let index =
            self.out.contexts.iter().position(|&c| c == context).unwrap_or(self.out.contexts.len() - 1) as u8;
        let mut list = Vec::new();
        for (i, &o) in node.operands.iter().enumerate() {
            let fact = facts.and_then(|f| f.params.get(i)).copied().unwrap_or_default();
            if let Some(mode) = fact.mode {
                let value = frame.get(o);
                list.extend(self.reached(&value, mode, fact.covers));
            }
        }
        self.touch(id, false, index, index != CPU, &list, &AccessKind::Kernel(*kernel), out);
        if !self.carries(node.ty) {
            return Val::Scalar;
        }
        let returned = facts.map(|f| f.returned.clone()).unwrap_or_default();
        let mut value = Val::Scalar;
        for source in returned {
            let one = match source {
                crate::kernel::Returned::Param(i) => {
                    node.operands.get(i as usize).map_or(Val::Scalar, |&o| frame.get(o))
                }
                crate::kernel::Returned::Allocated(_) => self.allocate(id, frame, out),
                crate::kernel::Returned::Unknown => Val::location(self.unknown()),
            };
            value = if value == Val::Scalar { one } else { value.join(&one) };
        }
        value.flattened()
    }

    fn extern_agent(&self, x: crate::id::ExternId) -> Context {
        let entry = self.psg.externs[x].entry;
        match self.agents.get(entry.as_str()).map(String::as_str) {
            Some("NPU") => Context::Npu,
            Some("GPU") => Context::Gpu { device: 0, queue: 0 },
            _ => Context::Cpu,
        }
    }

    /// A foreign function touches what its pointers point to and what its handles stand for, and is done when it
    /// returns.
    pub(super) fn call_extern(
        &mut self,
        id: NodeId,
        x: crate::id::ExternId,
        frame: &mut Frame,
        out: &mut Block,
    ) -> Val {
        use clef_frontend::typed::ParamEffect;
        let node = &self.psg.nodes[id];
        let effects: Vec<Option<ParamEffect>> = self.psg.externs[x].params.iter().map(|p| p.2).collect();
        let mut list = Vec::new();
        let mut through: Option<Val> = None;
        // A result may point into what the arguments point to: a batch of tokens holds the tokens' address.
        let mut inside = Val::Bottom;
        for (i, &o) in node.operands.iter().enumerate() {
            let flat = frame.get(o).flat();
            if flat.locations.is_empty() {
                continue;
            }
            let mode = match effects.get(i).copied().flatten() {
                Some(ParamEffect::Reads) => Mode::Read,
                Some(ParamEffect::Writes) => Mode::Write,
                Some(ParamEffect::ReadsWrites | ParamEffect::Releases) | None => Mode::ReadWrite,
            };
            let value = frame.get(o);
            list.extend(self.reached(&value, mode, false));
            for location in flat.locations {
                if matches!(self.out.locations[location as usize].kind, LocationKind::Handle(_)) {
                    let one = Val::location(location);
                    through = Some(through.map_or(one.clone(), |v| v.join(&one)));
                } else {
                    inside = inside.join(&Val::location(location));
                }
            }
        }
        let mut value = Val::Scalar;
        if self.carries(node.ty) {
            value = through.unwrap_or_else(|| {
                let location = self.handle(x, id);
                list.push((location, Mode::Write, false));
                Val::location(location)
            });
            value = value.join(&inside);
        }
        self.touch(id, false, CPU, false, &list, &AccessKind::Extern(x), out);
        let joined = node.operands.iter().fold(Val::Bottom, |v, &o| v.join(&frame.get(o))).flattened();
        self.may_call(id, &joined, frame, out);
        value
    }

    fn handle(&mut self, x: crate::id::ExternId, node: NodeId) -> u32 {
        if let Some(&location) = self.handles.get(&x) {
            return location;
        }
        let name = format!("what {} returned", self.psg.externs[x].entry);
        let key = (u32::MAX - 1, node);
        let location = self.new_location(key, name, LocationKind::Handle(x), Some(node), true);
        self.handles.insert(x, location);
        location
    }

    /// Operations of the runtime on pointers and arrays.
    pub(super) fn intrinsic(&mut self, id: NodeId, name: &str, frame: &mut Frame, out: &mut Block) -> Val {
        use crate::intrinsics::{Effect, effect};
        let node = &self.psg.nodes[id];
        let joined = node.operands.iter().fold(Val::Bottom, |v, &o| v.join(&frame.get(o))).flattened();
        let flat = joined.flat();
        if name != "nativeptr.add" && !flat.locations.is_empty() {
            let mode = if effect(name) == Effect::Any { Mode::ReadWrite } else { Mode::Read };
            if effect(name) != Effect::Pure {
                let list = self.reached(&joined, mode, false);
                self.touch(id, false, CPU, false, &list, &AccessKind::Host, out);
            }
        }
        self.may_call(id, &joined, frame, out);
        if !self.carries(node.ty) {
            return Val::Scalar;
        }
        if name == "nativeptr.add" { joined.moved() } else { joined }
    }

    /// A function that takes a closure may call it.
    fn may_call(&mut self, id: NodeId, joined: &Val, frame: &mut Frame, out: &mut Block) {
        for closure in joined.flat().closures {
            let (func, captures) = self.closures[closure as usize].clone();
            let arity = self.psg.funcs[func].params.len().saturating_sub(captures.len());
            let args = (0..arity).map(|_| joined.clone()).chain(captures).collect();
            let mut arm = Block::new();
            let path = self.path(frame.path, id);
            self.call(func, args, path, &mut arm);
            if !arm.is_empty() {
                out.push(Step::Branch(vec![arm, Block::new()]));
            }
        }
    }

    pub(super) fn marker(&mut self, id: NodeId, buffer: &Val, out: &mut Block) -> Val {
        let next = self.out.markers.len() as u32;
        let index = *self.markers.entry(id).or_insert(next);
        if index == next {
            self.out.markers.push((id, Vec::new()));
        }
        let known = &mut self.out.markers[index as usize].1;
        for location in buffer.flat().locations {
            if let Err(at) = known.binary_search(&location) {
                known.insert(at, location);
            }
        }
        out.push(Step::Marker(index));
        Val::Scalar
    }
}

pub(super) fn dispatch_context(op: &Op) -> Option<Context> {
    use clef_frontend::typed::AgentKind;
    let Op::Dispatch { agent, device, queue, .. } = op else { return None };
    Some(match agent {
        AgentKind::Cpu => Context::Cpu,
        AgentKind::Npu => Context::Npu,
        AgentKind::Gpu => Context::Gpu { device: *device as u8, queue: *queue as u8 },
    })
}
