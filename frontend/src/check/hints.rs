//! Residency hints and agents in the types of buffers.
//!
//! `UnifiedBuffer<'T>` has a second, hidden argument: the hint that the buffer was allocated with. It is inferred, may
//! be written (`UnifiedBuffer<float32, PreferGPU>`), and is never needed. An allocation with a known hint *gives* one;
//! a type that is written *asks* for one. What asks and is given another is an error; buffers of several hints in one
//! place (the elements of a list, the branches of an `if`) make it unknown there, and so does a run-time value.
//!
//! The agents of the allocation are a third argument of the same kind, inferred and shown but never written: which
//! agent touches a buffer is a question of data flow, answered by the fence analysis (CLEF0601).
//!
//! Within a definition hints are variables, joined as types are. What is left open when it is closed is unknown: a
//! function that says nothing takes buffers of every hint. What passes through a type parameter keeps its hint, since
//! it is part of the type. Does not tell kernels or versions of functions apart: nothing that runs depends on hints.

use crate::typed::Hint;
use ustr::Ustr;

/// The cases of `HSAMemoryHint`, by which hints are written.
pub const NAMES: [&str; 4] = ["PreferCPU", "PreferGPU", "PreferNPU", "BalancedAccess"];

/// An agent by the case of `HSAAgentKind` and the GPU's number, as it is written.
pub fn agent_name((case, device): (u32, i64)) -> String {
    match case {
        0 => "CPU".to_owned(),
        1 => format!("GPU_RDNA {device}"),
        _ => "NPU_XDNA".to_owned(),
    }
}

/// A written hint, and what it was given. Nothing given: buffers of several hints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clash {
    pub asked: Ustr,
    pub given: Option<Ustr>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Var {
    Free,
    Link(u32),
    Is(Hint),
    /// Buffers of several hints.
    Mixed,
}

/// The variables of the definition under inference.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    vars: Vec<Var>,
}

impl Hints {
    pub fn clear(&mut self) {
        self.vars.clear();
    }

    pub fn fresh(&mut self) -> Hint {
        self.vars.push(Var::Free);
        Hint::Open(self.vars.len() as u32 - 1)
    }

    /// A variable that knows a hint so far.
    pub fn starting(&mut self, hint: Hint) -> Hint {
        if !matches!(hint, Hint::Known(_)) {
            return hint;
        }
        self.vars.push(Var::Is(hint));
        Hint::Open(self.vars.len() as u32 - 1)
    }

    fn root(&self, mut var: u32) -> u32 {
        while let Var::Link(next) = self.vars[var as usize] {
            var = next;
        }
        var
    }

    pub fn unify(&mut self, a: Hint, b: Hint) -> Result<(), Clash> {
        match (a, b) {
            (Hint::Unknown, _) | (_, Hint::Unknown) => Ok(()),
            (Hint::Open(a), Hint::Open(b)) => {
                let (a, b) = (self.root(a), self.root(b));
                if a == b {
                    return Ok(());
                }
                let joined = join(self.vars[a as usize], self.vars[b as usize]);
                self.vars[a as usize] = Var::Link(b);
                self.set(b, joined)
            }
            (Hint::Open(var), hint) | (hint, Hint::Open(var)) => {
                let var = self.root(var);
                let joined = join(self.vars[var as usize], Var::Is(hint));
                self.set(var, joined)
            }
            (a, b) => join(Var::Is(a), Var::Is(b)).map(|_| ()),
        }
    }

    fn set(&mut self, var: u32, joined: Result<Var, Clash>) -> Result<(), Clash> {
        self.vars[var as usize] = joined?;
        Ok(())
    }

    /// The hint without variables, as far as it is known now.
    pub fn closed(&self, hint: Hint) -> Hint {
        let Hint::Open(var) = hint else { return hint };
        match self.vars.get(var as usize).map(|_| self.vars[self.root(var) as usize]) {
            Some(Var::Is(hint)) => hint,
            _ => Hint::Unknown,
        }
    }
}

fn name(hint: Hint) -> Option<Ustr> {
    match hint {
        Hint::Known(name) | Hint::Written(name) => Some(name),
        Hint::Unknown | Hint::Open(_) => None,
    }
}

fn join(a: Var, b: Var) -> Result<Var, Clash> {
    match (a, b) {
        (Var::Free | Var::Link(_), other) | (other, Var::Free | Var::Link(_)) => Ok(other),
        (Var::Mixed, Var::Mixed | Var::Is(Hint::Known(_) | Hint::Unknown | Hint::Open(_)))
        | (Var::Is(Hint::Known(_) | Hint::Unknown | Hint::Open(_)), Var::Mixed) => Ok(Var::Mixed),
        (Var::Mixed, Var::Is(Hint::Written(asked))) | (Var::Is(Hint::Written(asked)), Var::Mixed) => {
            Err(Clash { asked, given: None })
        }
        (Var::Is(a), Var::Is(b)) if name(a) == name(b) => {
            Ok(Var::Is(if matches!(a, Hint::Written(_)) { a } else { b }))
        }
        (Var::Is(Hint::Written(asked)), Var::Is(other)) | (Var::Is(other), Var::Is(Hint::Written(asked))) => {
            Err(Clash { asked, given: name(other) })
        }
        (Var::Is(_), Var::Is(_)) => Ok(Var::Mixed),
    }
}

#[cfg(test)]
mod tests {
    use super::{Clash, Hints};
    use crate::typed::Hint;
    use ustr::Ustr;

    #[test]
    fn what_is_asked_for_must_be_given() {
        let (cpu, gpu) = (Ustr::from("PreferCPU"), Ustr::from("PreferGPU"));
        let mut hints = Hints::default();
        let (x, y) = (hints.fresh(), hints.fresh());
        assert_eq!(hints.unify(x, y), Ok(()));
        assert_eq!(hints.unify(x, Hint::Known(gpu)), Ok(()));
        assert_eq!(hints.unify(y, Hint::Written(gpu)), Ok(()));
        assert_eq!(hints.closed(x), Hint::Written(gpu));
        assert_eq!(hints.unify(x, Hint::Known(cpu)), Err(Clash { asked: gpu, given: Some(cpu) }));
        assert_eq!(hints.unify(x, Hint::Unknown), Ok(()));
    }

    #[test]
    fn several_at_once_are_unknown() {
        let (cpu, gpu) = (Ustr::from("PreferCPU"), Ustr::from("PreferGPU"));
        let mut hints = Hints::default();
        let x = hints.fresh();
        assert_eq!(hints.unify(x, Hint::Known(gpu)), Ok(()));
        assert_eq!(hints.unify(x, Hint::Known(cpu)), Ok(()));
        assert_eq!(hints.closed(x), Hint::Unknown);
        assert_eq!(hints.unify(x, Hint::Written(gpu)), Err(Clash { asked: gpu, given: None }));
    }
}
