//! In which order types are declared: a Clef file sees what stands above. Structs that refer to each other form a
//! group (`type .. and ..`).

use super::model::{CType, Header};
use std::collections::BTreeSet;

/// Whether a type names a record that is declared as one.
pub fn names_record(header: &Header, ty: &CType) -> bool {
    match ty {
        CType::Record(id) => header.records[*id].opaque.is_none(),
        CType::Alias(id) => names_record(header, &header.aliases[*id].target),
        CType::Pointer { to, .. } => names_record(header, to),
        CType::Array(element, _) => names_record(header, element),
        _ => false,
    }
}

/// Structs known by their address only that something names; the target of a typedef is named by the typedef.
pub fn used_handles(header: &Header) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    let fields = header.records.iter().flat_map(|r| r.fields.iter().map(|f| &f.ty));
    let params = header.functions.iter().flat_map(|f| f.params.iter().map(|p| &p.ty).chain([&f.ret]));
    for ty in fields.chain(params) {
        handles(ty, &mut used);
    }
    for alias in &header.aliases {
        match &alias.target {
            CType::Pointer { to, .. } if matches!(**to, CType::Record(_)) => {}
            target => handles(target, &mut used),
        }
    }
    used
}

fn handles(ty: &CType, used: &mut BTreeSet<usize>) {
    match ty {
        CType::Record(id) => {
            used.insert(*id);
        }
        CType::Pointer { to, .. } => handles(to, used),
        CType::Array(element, _) => handles(element, used),
        _ => {}
    }
}

/// Declared records, each group after those that it names.
pub fn groups(header: &Header) -> Vec<Vec<usize>> {
    let edges: Vec<Vec<usize>> = header
        .records
        .iter()
        .map(|r| {
            let mut named = Vec::new();
            if r.opaque.is_none() {
                r.fields.iter().for_each(|f| records(header, &f.ty, &mut named));
            }
            named
        })
        .collect();
    let mut walk = Walk {
        edges: &edges,
        number: vec![None; edges.len()],
        low: vec![0; edges.len()],
        on_stack: vec![false; edges.len()],
        stack: Vec::new(),
        next: 0,
        groups: Vec::new(),
    };
    for id in 0..edges.len() {
        if header.records[id].opaque.is_none() && walk.number[id].is_none() {
            walk.visit(id);
        }
    }
    walk.groups
}

fn records(header: &Header, ty: &CType, out: &mut Vec<usize>) {
    match ty {
        CType::Record(id) if header.records[*id].opaque.is_none() => out.push(*id),
        CType::Alias(id) => records(header, &header.aliases[*id].target, out),
        CType::Pointer { to, .. } => records(header, to, out),
        CType::Array(element, _) => records(header, element, out),
        _ => {}
    }
}

/// Tarjan's components; its depth is that of the structs' nesting.
struct Walk<'a> {
    edges: &'a [Vec<usize>],
    number: Vec<Option<usize>>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    next: usize,
    groups: Vec<Vec<usize>>,
}

impl Walk<'_> {
    fn visit(&mut self, id: usize) {
        self.number[id] = Some(self.next);
        self.low[id] = self.next;
        self.next += 1;
        self.stack.push(id);
        self.on_stack[id] = true;
        for &to in &self.edges[id] {
            match self.number[to] {
                None => {
                    self.visit(to);
                    self.low[id] = self.low[id].min(self.low[to]);
                }
                Some(n) if self.on_stack[to] => self.low[id] = self.low[id].min(n),
                Some(_) => {}
            }
        }
        if Some(self.low[id]) == self.number[id] {
            let mut group = Vec::new();
            while let Some(top) = self.stack.pop() {
                self.on_stack[top] = false;
                group.push(top);
                if top == id {
                    break;
                }
            }
            group.sort_unstable();
            self.groups.push(group);
        }
    }
}

/// The types that a module declares, by index into the header's lists.
#[derive(Default)]
pub struct Declared {
    pub records: BTreeSet<usize>,
    pub enums: BTreeSet<usize>,
    pub aliases: BTreeSet<usize>,
}

impl Declared {
    /// All of them; or, where the settings bind a part of the header, those that it needs.
    pub fn of(header: &Header, part: bool) -> Self {
        if !part {
            return Self {
                records: (0..header.records.len()).collect(),
                enums: (0..header.enums.len()).collect(),
                aliases: (0..header.aliases.len()).collect(),
            };
        }
        let mut declared = Self::default();
        let mut open: Vec<&CType> =
            header.functions.iter().flat_map(|f| f.params.iter().map(|p| &p.ty).chain([&f.ret])).collect();
        while let Some(ty) = open.pop() {
            match ty {
                CType::Record(id) if declared.records.insert(*id) => {
                    open.extend(header.records[*id].fields.iter().map(|f| &f.ty));
                }
                CType::Enum(id) => {
                    declared.enums.insert(*id);
                }
                CType::Alias(id) if declared.aliases.insert(*id) => open.push(&header.aliases[*id].target),
                CType::Pointer { to, .. } => open.push(to),
                CType::Array(element, _) => open.push(element),
                _ => {}
            }
        }
        declared
    }
}
