//! What work-items compute together: subgroup operations, and those of a workgroup built on them.
//!
//! A workgroup's sum is the sum of the subgroups' sums, which pass through workgroup memory: one barrier before they are
//! read, one behind, so that the memory can be used again.

use super::types::Scalar;
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::id::NodeId;
use clef_psg::node::{GroupOp, GroupScope};

const INT: Scalar = Scalar::Int { bits: 32, signed: true };

impl Lowering<'_> {
    pub(super) fn group(&mut self, node: NodeId, scope: GroupScope, op: GroupOp) -> Result<(), Refusal> {
        self.writer.needs.group_arithmetic |= op != GroupOp::Tiles;
        let (value, scalar) = match op {
            GroupOp::Size => (self.subgroup_value("subgroup_size", "SubgroupSize"), INT),
            GroupOp::Lane => (self.subgroup_value("subgroup_lane", "SubgroupLocalInvocationId"), INT),
            GroupOp::Tiles => {
                self.writer.needs.offers = true;
                (self.writer.op("spirv.mlir.referenceof @tiles : i1"), Scalar::Bool)
            }
            GroupOp::Shuffle => self.shuffle(node)?,
            GroupOp::Add | GroupOp::Min | GroupOp::Max | GroupOp::Scan => {
                let (value, scalar) = self.scalar(self.psg.nodes[node].operands[0])?;
                if !matches!(scalar, Scalar::Int { .. } | Scalar::Float { .. }) {
                    return Err(self.refuse(node, "groups compute with numbers only"));
                }
                let value = match scope {
                    GroupScope::Subgroup => self.reduce(&value, scalar, op),
                    GroupScope::Workgroup if op == GroupOp::Scan => self.workgroup_scan(&value, scalar),
                    GroupScope::Workgroup => self.workgroup_reduce(&value, scalar, op),
                };
                (value, scalar)
            }
        };
        self.writer.bind(node, Value::Scalar(value, scalar));
        Ok(())
    }

    fn subgroup_value(&mut self, symbol: &'static str, builtin: &'static str) -> String {
        if !self.writer.builtins.contains(&(symbol, builtin)) {
            self.writer.builtins.push((symbol, builtin));
        }
        let address = self.writer.op(&format!("spirv.mlir.addressof @{symbol} : !spirv.ptr<i32, Input>"));
        self.writer.op(&format!("spirv.Load \"Input\" {address} : i32"))
    }

    fn shuffle(&mut self, node: NodeId) -> Result<(String, Scalar), Refusal> {
        self.writer.needs.group_shuffle = true;
        let operands = self.psg.nodes[node].operands.clone();
        let (value, scalar) = self.scalar(operands[0])?;
        let (lane, _) = self.scalar(operands[1])?;
        let ty = scalar.text();
        Ok((
            self.writer.op(&format!("spirv.GroupNonUniformShuffle <Subgroup> {value}, {lane} : {ty}, i32")),
            scalar,
        ))
    }

    /// Over the subgroup.
    fn reduce(&mut self, value: &str, scalar: Scalar, op: GroupOp) -> String {
        let name = match (op, scalar) {
            (GroupOp::Min, Scalar::Float { .. }) => "FMin",
            (GroupOp::Max, Scalar::Float { .. }) => "FMax",
            (_, Scalar::Float { .. }) => "FAdd",
            (GroupOp::Min, Scalar::Int { signed: true, .. }) => "SMin",
            (GroupOp::Max, Scalar::Int { signed: true, .. }) => "SMax",
            (GroupOp::Min, _) => "UMin",
            (GroupOp::Max, _) => "UMax",
            _ => "IAdd",
        };
        let how = if op == GroupOp::Scan { "InclusiveScan" } else { "Reduce" };
        let ty = scalar.text();
        self.writer.op(&format!("spirv.GroupNonUniform{name} <Subgroup> <{how}> {value} : {ty} -> {ty}"))
    }

    fn combine(&mut self, a: &str, b: &str, scalar: Scalar, op: GroupOp) -> String {
        let name = match (op, scalar) {
            (GroupOp::Min, Scalar::Float { .. }) => "GL.FMin",
            (GroupOp::Max, Scalar::Float { .. }) => "GL.FMax",
            (_, Scalar::Float { .. }) => "FAdd",
            (GroupOp::Min, Scalar::Int { signed: true, .. }) => "GL.SMin",
            (GroupOp::Max, Scalar::Int { signed: true, .. }) => "GL.SMax",
            (GroupOp::Min, _) => "GL.UMin",
            (GroupOp::Max, _) => "GL.UMax",
            _ => "IAdd",
        };
        self.writer.op(&format!("spirv.{name} {a}, {b} : {}", scalar.text()))
    }

    fn workgroup_reduce(&mut self, value: &str, scalar: Scalar, op: GroupOp) -> String {
        let own = self.reduce(value, scalar, op);
        let part = self.publish(&own, scalar, None);
        let count = self.subgroup_value("subgroups", "NumSubgroups");
        let zero = self.writer.constant("0 : i32");
        let total = self.fresh_variable(scalar);
        let first = self.part(&part, &zero, scalar);
        self.store_variable(&total, &first, scalar);
        let one = self.writer.constant("1 : i32");
        self.over_parts(&one, &count, |cx, at| {
            let next = cx.part(&part, at, scalar);
            let before = cx.load_variable(&total, scalar);
            let after = cx.combine(&before, &next, scalar, op);
            cx.store_variable(&total, &after, scalar);
        });
        self.barrier();
        self.load_variable(&total, scalar)
    }

    fn workgroup_scan(&mut self, value: &str, scalar: Scalar) -> String {
        let own = self.reduce(value, scalar, GroupOp::Scan);
        let lane = self.subgroup_value("subgroup_lane", "SubgroupLocalInvocationId");
        let size = self.subgroup_value("subgroup_size", "SubgroupSize");
        let one = self.writer.constant("1 : i32");
        let next = self.writer.op(&format!("spirv.IAdd {lane}, {one} : i32"));
        let last = self.writer.op(&format!("spirv.IEqual {next}, {size} : i32"));
        let part = self.publish(&own, scalar, Some(&last));
        let number = self.subgroup_value("subgroup", "SubgroupId");
        let zero = self.writer.constant("0 : i32");
        let total = self.fresh_variable(scalar);
        self.store_variable(&total, &own, scalar);
        self.over_parts(&zero, &number, |cx, at| {
            let next = cx.part(&part, at, scalar);
            let before = cx.load_variable(&total, scalar);
            let after = cx.combine(&before, &next, scalar, GroupOp::Add);
            cx.store_variable(&total, &after, scalar);
        });
        self.barrier();
        self.load_variable(&total, scalar)
    }

    /// Runs `body` for the indices from `from` to below `to`.
    fn over_parts(&mut self, from: &str, to: &str, body: impl FnOnce(&mut Self, &str)) {
        let (counter, go) = (self.fresh_variable(INT), self.fresh_variable(Scalar::Bool));
        let enter = self.writer.op(&format!("spirv.ULessThan {from}, {to} : i32"));
        self.store_variable(&counter, from, INT);
        self.store_variable(&go, &enter, Scalar::Bool);
        let one = self.writer.constant("1 : i32");
        // The body cannot be refused.
        let _ = self.loop_while(&go, |cx| {
            let at = cx.load_variable(&counter, INT);
            body(cx, &at);
            let next = cx.writer.op(&format!("spirv.IAdd {at}, {one} : i32"));
            let more = cx.writer.op(&format!("spirv.ULessThan {next}, {to} : i32"));
            cx.store_variable(&counter, &next, INT);
            cx.store_variable(&go, &more, Scalar::Bool);
            Ok(())
        });
    }

    /// Each subgroup's value to workgroup memory, from the work-item where `writer` holds (any one without); then all
    /// may read. The type of the pointer and the array.
    fn publish(&mut self, value: &str, scalar: Scalar, writer: Option<&str>) -> (String, String) {
        let items: u32 = self.local.iter().product();
        let ty = scalar.text();
        let pointer = format!("!spirv.ptr<!spirv.array<{items} x {ty}>, Workgroup>");
        let symbol = format!("parts_{ty}");
        if !self.writer.shared.iter().any(|(s, _)| *s == symbol) {
            self.shared_bytes = self.shared_bytes.saturating_add(items.saturating_mul(scalar.size()));
            self.writer.needs.value(scalar);
            self.writer.shared.push((symbol.clone(), pointer.clone()));
        }
        let array = (pointer, symbol);
        let chosen = match writer {
            Some(writer) => writer.to_owned(),
            None => self.writer.op("spirv.GroupNonUniformElect <Subgroup> : i1"),
        };
        let number = self.subgroup_value("subgroup", "SubgroupId");
        self.when(&chosen, |cx| {
            let at = cx.part_pointer(&array, &number, scalar);
            cx.writer.effect(&format!("spirv.Store \"Workgroup\" {at}, {value} : {ty}"));
        });
        self.barrier();
        array
    }

    fn part_pointer(&mut self, (pointer, symbol): &(String, String), at: &str, scalar: Scalar) -> String {
        let array = self.writer.op(&format!("spirv.mlir.addressof @{symbol} : {pointer}"));
        self.writer.op(&format!(
            "spirv.AccessChain {array}[{at}] : {pointer}, i32 -> !spirv.ptr<{}, Workgroup>",
            scalar.text()
        ))
    }

    fn part(&mut self, array: &(String, String), at: &str, scalar: Scalar) -> String {
        let at = self.part_pointer(array, at, scalar);
        self.writer.op(&format!("spirv.Load \"Workgroup\" {at} : {}", scalar.text()))
    }
}
