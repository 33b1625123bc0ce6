//! Modules, scopes and the look-up of names.
//!
//! A module is a set of tables. Visible modules are a stack, innermost last; a name is looked for among the locals,
//! then down that stack. A dotted name tries each visible module that has its first part, so that a user's own
//! `module List` adds to the library's.

use super::alternatives::instead_of;
use super::builtin::Builtin;
use super::{Checker, ModuleId, Value};
use crate::ast::{Ident, Path};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::typed::TypeDefId;
use rustc_hash::FxHashMap;
use ustr::Ustr;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TypeEntry {
    Def(TypeDefId),
    Abbreviation(u32),
}

#[derive(Debug)]
pub(crate) struct Module {
    pub path: Ustr,
    pub values: FxHashMap<Ustr, Value>,
    pub types: FxHashMap<Ustr, TypeEntry>,
    pub subs: FxHashMap<Ustr, ModuleId>,
    /// Record fields, the newest type last.
    pub fields: FxHashMap<Ustr, Vec<(TypeDefId, u32)>>,
    /// Overloads of `Members` modules: name to functions in order.
    pub overloads: FxHashMap<Ustr, Vec<Value>>,
}

impl Module {
    pub fn new(path: Ustr) -> Self {
        Self {
            path,
            values: FxHashMap::default(),
            types: FxHashMap::default(),
            subs: FxHashMap::default(),
            fields: FxHashMap::default(),
            overloads: FxHashMap::default(),
        }
    }
}

/// Types of the library that syntax needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Core {
    pub list: Option<TypeDefId>,
    pub option: Option<TypeDefId>,
    pub seq: Option<TypeDefId>,
    pub reference: Option<TypeDefId>,
    pub unified_buffer: Option<TypeDefId>,
    pub buffer: Option<TypeDefId>,
}

impl Checker<'_> {
    /// The module of that name in another, made if it is missing.
    pub(crate) fn submodule(&mut self, parent: ModuleId, name: Ustr) -> ModuleId {
        if let Some(&id) = self.modules[parent.0 as usize].subs.get(&name) {
            return id;
        }
        let above = self.modules[parent.0 as usize].path;
        let path = if above.is_empty() { name } else { Ustr::from(&format!("{above}.{name}")) };
        let id = ModuleId(self.modules.len() as u32);
        self.modules.push(Module::new(path));
        self.modules[parent.0 as usize].subs.insert(name, id);
        id
    }

    pub(crate) fn module_at(&self, path: &[&str]) -> Option<ModuleId> {
        path.iter().try_fold(ModuleId(0), |at, part| {
            self.modules[at.0 as usize].subs.get(&Ustr::from(part)).copied()
        })
    }

    pub(crate) fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    pub(crate) fn module_mut(&mut self) -> &mut Module {
        &mut self.modules[self.module.0 as usize]
    }

    /// `Path.name` of a definition in the module being filled.
    pub(crate) fn qualified(&self, name: Ustr) -> Ustr {
        let path = self.module(self.module).path;
        if path.is_empty() { name } else { Ustr::from(&format!("{path}.{name}")) }
    }

    pub(crate) fn open_module(&mut self, id: ModuleId) {
        self.scopes.push(id);
        self.scope_cache = None;
    }

    pub(crate) fn truncate_scopes(&mut self, len: usize) {
        self.scopes.truncate(len);
        self.scope_cache = None;
    }

    /// Resolves the library types that syntax needs; called after the library is registered.
    pub(crate) fn find_core(&mut self) {
        let find = |c: &Self, path: &[&str], name: &str| {
            let id = c.module_at(path)?;
            match c.module(id).types.get(&Ustr::from(name)) {
                Some(TypeEntry::Def(d)) => Some(*d),
                _ => None,
            }
        };
        self.core = Core {
            list: find(self, &["Core"], "list"),
            option: find(self, &["Core"], "option"),
            seq: find(self, &["Core"], "seq").or_else(|| find(self, &["Seq"], "seq")),
            reference: find(self, &["Core"], "ref").or_else(|| find(self, &["Core"], "Ref")),
            unified_buffer: find(self, &["BAREWire", "HSA"], "UnifiedBuffer"),
            buffer: find(self, &["BAREWire"], "Buffer").or_else(|| find(self, &["Buffer"], "Buffer")),
        };
    }

    // --- locals

    pub(crate) fn bind_name(&mut self, name: Ustr, value: Value) {
        let old = self.locals.insert(name, value);
        self.trail.push((name, old));
    }

    pub(crate) fn mark(&self) -> usize {
        self.trail.len()
    }

    pub(crate) fn leave(&mut self, mark: usize) {
        while self.trail.len() > mark {
            if let Some((name, old)) = self.trail.pop() {
                match old {
                    Some(v) => self.locals.insert(name, v),
                    None => self.locals.remove(&name),
                };
            }
        }
    }

    // --- look-up

    pub(crate) fn find_value(&self, name: Ustr) -> Option<Value> {
        if let Some(&v) = self.locals.get(&name) {
            return Some(v);
        }
        for &scope in self.scopes.iter().rev() {
            if let Some(&v) = self.module(scope).values.get(&name) {
                return Some(v);
            }
        }
        Builtin::named(name).map(Value::Builtin)
    }

    pub(crate) fn find_type(&self, name: Ustr) -> Option<TypeEntry> {
        self.scopes.iter().rev().find_map(|&s| self.module(s).types.get(&name).copied())
    }

    /// Modules that a dotted path can mean, innermost first.
    pub(crate) fn find_modules(&self, path: &[Ident]) -> Vec<ModuleId> {
        let mut found = Vec::new();
        for &scope in self.scopes.iter().rev() {
            let end = path.iter().try_fold(scope, |at, part| self.module(at).subs.get(&part.name).copied());
            if let Some(end) = end
                && !found.contains(&end)
            {
                found.push(end);
            }
        }
        found
    }

    /// The value at the end of a dotted path, if its front names modules (or a type, for its cases).
    pub(crate) fn find_path_value(&self, path: &[Ident]) -> Option<Value> {
        let (last, front) = path.split_last()?;
        if front.is_empty() {
            return self.find_value(last.name);
        }
        for module in self.find_modules(front) {
            if let Some(&v) = self.module(module).values.get(&last.name) {
                return Some(v);
            }
        }
        let TypeEntry::Def(def) = self.find_path_type(front)? else { return None };
        self.type_value(def, last.name)
    }

    /// A union or enum case by `Type.Case`.
    pub(crate) fn type_value(&self, def: TypeDefId, name: Ustr) -> Option<Value> {
        use crate::typed::TypeDefKind;
        match &self.type_defs[def.index()].kind {
            TypeDefKind::Union(cases) => {
                cases.iter().position(|c| c.name == name).map(|i| Value::Case(def, i as u32))
            }
            TypeDefKind::Enum(cases) => {
                cases.iter().position(|c| c.0 == name).map(|i| Value::EnumCase(def, i as u32))
            }
            _ => None,
        }
    }

    pub(crate) fn find_path_type(&self, path: &[Ident]) -> Option<TypeEntry> {
        let (last, front) = path.split_last()?;
        if front.is_empty() {
            return self.find_type(last.name);
        }
        self.find_modules(front).into_iter().find_map(|m| self.module(m).types.get(&last.name).copied())
    }

    /// Record types that have a field, the newest visible first.
    pub(crate) fn find_field(&self, name: Ustr) -> Vec<(TypeDefId, u32)> {
        let mut found = Vec::new();
        for &scope in self.scopes.iter().rev() {
            if let Some(list) = self.module(scope).fields.get(&name) {
                for &entry in list.iter().rev() {
                    if !found.contains(&entry) {
                        found.push(entry);
                    }
                }
            }
        }
        found
    }

    // --- errors

    /// Everything that could have been meant by a value name, for suggestions.
    fn value_names(&self) -> Vec<Ustr> {
        let mut names: Vec<Ustr> = self.locals.keys().copied().collect();
        for &scope in &self.scopes {
            names.extend(self.module(scope).values.keys().copied());
        }
        names.extend(Builtin::names());
        names
    }

    pub(crate) fn unknown_value(&mut self, ident: Ident) {
        let name = ident.name;
        let mut d = Diagnostic::error(codes::UNKNOWN_NAME, ident.span, format!("`{name}` is not defined"))
            .here("not found in this scope");
        let names = self.value_names();
        if let Some(instead) = instead_of(&name) {
            d = d.help(instead);
        } else if let Some(near) = nearest(name, names.into_iter()) {
            d = d.help(format!("did you mean `{near}`?"));
        } else if let Some(module) = self.module_with_value(name) {
            d = d.help(format!("`{module}` has a `{name}`: write `{module}.{name}`, or `open {module}`"));
        } else if self.lost_module {
            // It may come from a module that could not be opened, which was told.
            return;
        }
        self.diags.push(d);
    }

    fn module_with_value(&self, name: Ustr) -> Option<Ustr> {
        self.modules
            .iter()
            .filter(|m| !m.path.starts_with("Members") && m.values.contains_key(&name))
            .map(|m| m.path)
            .min_by_key(|p| p.as_str())
    }

    pub(crate) fn unknown_in_module(&mut self, front: &[Ident], last: Ident) {
        let modules = self.find_modules(front);
        let path = front.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(".");
        let mut d =
            Diagnostic::error(codes::UNKNOWN_NAME, last.span, format!("`{path}` has no `{}`", last.name));
        let names = modules.iter().flat_map(|&m| {
            let m = self.module(m);
            m.values.keys().chain(m.types.keys()).chain(m.subs.keys()).copied()
        });
        let instead = || front.iter().find_map(|part| instead_of(&part.name));
        if let Some(instead) = instead_of(&last.name).or_else(instead) {
            d = d.help(instead);
        } else if let Some(near) = nearest(last.name, names) {
            d = d.help(format!("did you mean `{path}.{near}`?"));
        }
        self.diags.push(d);
    }

    pub(crate) fn unknown_type(&mut self, path: &Path) {
        let Some(last) = path.last() else { return };
        let written = show_path(path);
        let mut d =
            Diagnostic::error(codes::UNKNOWN_TYPE, path.span(), format!("no type is named `{written}`"));
        let visible = self.scopes.iter().flat_map(|&s| self.module(s).types.keys().copied());
        let names = visible.chain(super::tyexpr::BUILTIN_TYPES.iter().map(|n| Ustr::from(n)));
        if let Some(instead) = instead_of(&last.name) {
            d = d.help(instead);
        } else if let Some(near) = nearest(last.name, names) {
            d = d.help(format!("did you mean `{near}`?"));
        } else if let Some(m) = self
            .modules
            .iter()
            .filter(|m| m.types.contains_key(&last.name))
            .map(|m| m.path)
            .min_by_key(|p| p.as_str())
        {
            d = d.help(format!("`{m}` has a type of this name: add `open {m}`"));
        } else if self.lost_module {
            return;
        }
        self.diags.push(d);
    }

    pub(crate) fn unknown_module(&mut self, path: &Path) {
        let written = show_path(path);
        let mut d =
            Diagnostic::error(codes::UNKNOWN_MODULE, path.span(), format!("no module is named `{written}`"));
        let names = self.modules.iter().map(|m| m.path).filter(|p| !p.is_empty());
        if let Some(instead) = path.parts.iter().rev().find_map(|part| instead_of(&part.name)) {
            d = d.help(instead);
        } else if let Some(near) = nearest(Ustr::from(&written), names) {
            d = d.help(format!("did you mean `{near}`?"));
        } else {
            d = d.help("a module of the project must come before this file in the project's `sources`");
        }
        self.lost_module = true;
        self.diags.push(d);
    }
}

pub(crate) fn show_path(path: &Path) -> String {
    path.parts.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(".")
}

/// The candidate that a misspelt name most likely meant.
pub(crate) fn nearest(name: Ustr, candidates: impl Iterator<Item = Ustr>) -> Option<Ustr> {
    let limit = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .filter(|c| *c != name && c.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_'))
        .filter_map(|c| {
            let d = distance(&name, &c, limit);
            // Short names are all near each other: ask for a common letter.
            (d <= limit && d < name.chars().count()).then_some((d, c))
        })
        .min_by(|a, b| (a.0, a.1.as_str()).cmp(&(b.0, b.1.as_str())))
        .map(|(_, c)| c)
}

/// Edit distance with transpositions, ignoring case at half cost being 0; anything above `limit` is `limit + 1`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, first) in rows[0].iter_mut().enumerate() {
        *first = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
