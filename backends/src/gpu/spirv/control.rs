//! Structured control: the launch domain, conditions, loops.
//!
//! Results of regions travel through function variables; drivers turn them back into values. A loop's condition is
//! computed before the loop and at the end of its body, never in the header block, which must stay empty of structured
//! operations.

use super::own;
use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::id::{NodeId, RegionId};
use clef_psg::kernel::facts::Phase;
use clef_psg::node::{ForKind, Op};

/// Rounds of a loop that a device is asked to unroll.
const MOST_ROUNDS: i64 = 16;
/// Operations that this may make of one loop.
const MOST_NODES: i64 = 8_000;

impl Lowering<'_> {
    /// `if condition { inside }`.
    pub(super) fn when(&mut self, condition: &str, inside: impl FnOnce(&mut Self)) {
        self.writer.raw("    spirv.mlir.selection {");
        self.writer.effect(&format!("spirv.BranchConditional {condition}, ^then, ^merge"));
        self.writer.raw("    ^then:");
        inside(self);
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
    }

    /// A function variable.
    pub(super) fn fresh_variable(&mut self, scalar: Scalar) -> String {
        self.writer.needs.value(scalar);
        self.writer.op(&format!("spirv.Variable : !spirv.ptr<{}, Function>", scalar.text()))
    }

    pub(super) fn load_variable(&mut self, pointer: &str, scalar: Scalar) -> String {
        self.writer.op(&format!("spirv.Load \"Function\" {pointer} : {}", scalar.text()))
    }

    pub(super) fn store_variable(&mut self, pointer: &str, value: &str, scalar: Scalar) {
        self.writer.effect(&format!("spirv.Store \"Function\" {pointer}, {value} : {}", scalar.text()));
    }

    /// A mutable local of the source.
    pub(super) fn variable(&mut self, node: NodeId) -> Result<(), Refusal> {
        let operands = self.psg.nodes[node].operands.clone();
        match &self.psg.nodes[node].op {
            Op::Var => {
                let (value, scalar) = self.scalar(operands[0])?;
                let pointer = self.fresh_variable(scalar);
                self.store_variable(&pointer, &value, scalar);
                self.writer.bind(node, Value::Variable(pointer, scalar));
            }
            Op::VarGet => {
                let Some(Value::Variable(pointer, scalar)) = self.writer.value(operands[0]).cloned() else {
                    return Err(self.refuse(node, "this variable cannot be used on a GPU"));
                };
                let value = self.load_variable(&pointer, scalar);
                self.writer.bind(node, Value::Scalar(value, scalar));
            }
            _ => {
                let Some(Value::Variable(pointer, scalar)) = self.writer.value(operands[0]).cloned() else {
                    return Err(self.refuse(node, "this variable cannot be used on a GPU"));
                };
                let (value, _) = self.scalar(operands[1])?;
                self.store_variable(&pointer, &value, scalar);
                self.writer.bind(node, Value::Unit);
            }
        }
        Ok(())
    }

    pub(super) fn control(&mut self, node: NodeId) -> Result<(), Refusal> {
        match self.psg.nodes[node].op.clone() {
            Op::If => self.choice(node, None),
            Op::Switch(values) => self.choice(node, Some(&values)),
            Op::While => self.while_loop(node),
            Op::For(kind) => self.for_loop(node, kind),
            _ => Err(self.refuse(node, "this control structure cannot run on a GPU")),
        }
    }

    /// `If` and `Switch`: a chain of selections, each arm storing its result into one variable.
    fn choice(&mut self, node: NodeId, values: Option<&[i64]>) -> Result<(), Refusal> {
        let n = &self.psg.nodes[node];
        let (regions, ty) = (n.regions.clone(), n.ty);
        let (chosen, scalar) = self.scalar(n.operands[0])?;
        if values.is_none() && self.selected(node, &chosen, &regions)? {
            return Ok(());
        }
        let result = types::scalar(self.psg, ty).map(|s| (self.fresh_variable(s), s));
        match values {
            None => self.branch(&chosen, regions[0], Some(regions[1]), &result)?,
            Some(values) => self.cases((&chosen, scalar), values, &regions, &result)?,
        }
        match result {
            Some((pointer, scalar)) => {
                let value = self.load_variable(&pointer, scalar);
                self.writer.bind(node, Value::Scalar(value, scalar));
            }
            None => self.writer.bind(node, Value::Unit),
        }
        Ok(())
    }

    /// A choice between two values that are there already needs no branches: devices select.
    fn selected(&mut self, node: NodeId, chosen: &str, regions: &[RegionId]) -> Result<bool, Refusal> {
        let psg = self.psg;
        let constant = |n: &NodeId| matches!(psg.nodes[*n].op, Op::Const(_));
        let ready = regions.iter().all(|&r| psg.regions[r].nodes.iter().all(constant));
        let (true, Some(scalar)) = (ready, types::scalar(psg, psg.nodes[node].ty)) else { return Ok(false) };
        let mut arms = Vec::new();
        for &region in regions {
            self.region_nodes(region)?;
            let Some(value) = psg.regions[region].result else { return Ok(false) };
            arms.push(self.scalar(value)?.0);
        }
        let [then, otherwise] = arms.as_slice() else { return Ok(false) };
        self.writer.needs.value(scalar);
        let value =
            self.writer.op(&format!("spirv.Select {chosen}, {then}, {otherwise} : i1, {}", scalar.text()));
        self.writer.bind(node, Value::Scalar(value, scalar));
        Ok(true)
    }

    fn cases(
        &mut self,
        (chosen, scalar): (&str, Scalar),
        values: &[i64],
        regions: &[RegionId],
        result: &Option<(String, Scalar)>,
    ) -> Result<(), Refusal> {
        let Some((&value, rest)) = values.split_first() else {
            return self.arm(regions[0], result);
        };
        let wanted = self.writer.number(value, scalar);
        let hit = self.writer.op(&format!("spirv.IEqual {chosen}, {wanted} : {}", scalar.text()));
        self.open_selection(&hit);
        self.arm(regions[0], result)?;
        self.middle_of_selection();
        self.cases((chosen, scalar), rest, &regions[1..], result)?;
        self.close_selection();
        Ok(())
    }

    fn branch(
        &mut self,
        condition: &str,
        then: RegionId,
        otherwise: Option<RegionId>,
        result: &Option<(String, Scalar)>,
    ) -> Result<(), Refusal> {
        self.open_selection(condition);
        self.arm(then, result)?;
        self.middle_of_selection();
        if let Some(otherwise) = otherwise {
            self.arm(otherwise, result)?;
        }
        self.close_selection();
        Ok(())
    }

    pub(super) fn open_selection(&mut self, condition: &str) {
        self.writer.raw("    spirv.mlir.selection {");
        self.writer.effect(&format!("spirv.BranchConditional {condition}, ^then, ^else"));
        self.writer.raw("    ^then:");
    }

    pub(super) fn middle_of_selection(&mut self) {
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^else:");
    }

    pub(super) fn close_selection(&mut self) {
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
    }

    /// A region, its result stored.
    fn arm(&mut self, region: RegionId, result: &Option<(String, Scalar)>) -> Result<(), Refusal> {
        self.region_nodes(region)?;
        if let (Some((pointer, scalar)), Some(value)) = (result, self.psg.regions[region].result) {
            let (value, _) = self.scalar(value)?;
            self.store_variable(pointer, &value, *scalar);
        }
        Ok(())
    }

    /// A loop that runs while `go` holds; `body` must store it anew.
    pub(super) fn loop_while(
        &mut self,
        go: &str,
        body: impl FnOnce(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.writer.raw("    spirv.mlir.loop {");
        self.writer.effect("spirv.Branch ^header");
        self.writer.raw("    ^header:");
        let condition = self.load_variable(go, Scalar::Bool);
        self.writer.effect(&format!("spirv.BranchConditional {condition}, ^body, ^merge"));
        self.writer.raw("    ^body:");
        body(self)?;
        self.writer.effect("spirv.Branch ^continue");
        self.writer.raw("    ^continue:");
        self.writer.effect("spirv.Branch ^header");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
        Ok(())
    }

    fn while_loop(&mut self, node: NodeId) -> Result<(), Refusal> {
        let regions = self.psg.nodes[node].regions.clone();
        let go = self.fresh_variable(Scalar::Bool);
        let result = Some((go.clone(), Scalar::Bool));
        self.arm(regions[0], &result)?;
        self.loop_while(&go, |cx| {
            cx.region_nodes(regions[1])?;
            cx.arm(regions[0], &result)
        })?;
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    /// Bounds are inclusive, so the loop ends by equality with the bound: the counter never passes it and cannot wrap.
    /// With a step, the distance left is compared instead.
    fn for_loop(&mut self, node: NodeId, kind: ForKind) -> Result<(), Refusal> {
        let n = &self.psg.nodes[node];
        let (operands, region) = (n.operands.clone(), n.regions[0]);
        let (from, scalar) = self.scalar(operands[0])?;
        let (to, _) = self.scalar(operands[1])?;
        let ty = scalar.text();
        if kind == ForKind::By {
            return self.step_loop(node, (&from, &to), scalar);
        }
        if let Some(done) = self.unrolled(node) {
            return done;
        }
        let Some(&counter_node) = self.psg.regions[region].params.first() else {
            return Err(self.refuse(node, "a loop without a counter"));
        };
        let last = own::value(self.psg, operands[1], &self.fixed);
        if kind == ForKind::Up && last.is_some_and(|last| last < i64::from(i32::MAX)) {
            return self.plain_loop(node, (&from, &to), (counter_node, scalar));
        }
        let (counter, go) = (self.fresh_variable(scalar), self.fresh_variable(Scalar::Bool));
        let enters = if kind == ForKind::Up { "SLessThanEqual" } else { "SGreaterThanEqual" };
        let enter = self.writer.op(&format!("spirv.{enters} {from}, {to} : {ty}"));
        self.store_variable(&counter, &from, scalar);
        self.store_variable(&go, &enter, Scalar::Bool);
        let one = self.writer.number(1, scalar);
        let step = if kind == ForKind::Up { "IAdd" } else { "ISub" };
        self.loop_while(&go, |cx| {
            let at = cx.load_variable(&counter, scalar);
            cx.writer.bind(counter_node, Value::Scalar(at.clone(), scalar));
            cx.region_nodes(region)?;
            let more = cx.writer.op(&format!("spirv.INotEqual {at}, {to} : {ty}"));
            let next = cx.writer.op(&format!("spirv.{step} {at}, {one} : {ty}"));
            cx.store_variable(&counter, &next, scalar);
            cx.store_variable(&go, &more, Scalar::Bool);
            Ok(())
        })?;
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    /// A loop whose last index is known to have a successor: compared at its head, as devices' compilers like it best. One of
    /// few rounds and few operations asks them to unroll it: then its addresses are constants.
    fn plain_loop(
        &mut self,
        node: NodeId,
        (from, to): (&str, &str),
        (counter_node, scalar): (NodeId, Scalar),
    ) -> Result<(), Refusal> {
        let region = self.psg.nodes[node].regions[0];
        let ty = scalar.text();
        let counter = self.fresh_variable(scalar);
        self.store_variable(&counter, from, scalar);
        let one = self.writer.number(1, scalar);
        let hint = self.unroll_hint(node);
        self.writer.raw(&format!("    spirv.mlir.loop{hint} {{"));
        self.writer.effect("spirv.Branch ^header");
        self.writer.raw("    ^header:");
        let at = self.load_variable(&counter, scalar);
        let go = self.writer.op(&format!("spirv.SLessThanEqual {at}, {to} : {ty}"));
        self.writer.effect(&format!("spirv.BranchConditional {go}, ^body, ^merge"));
        self.writer.raw("    ^body:");
        self.writer.bind(counter_node, Value::Scalar(at.clone(), scalar));
        self.region_nodes(region)?;
        self.writer.effect("spirv.Branch ^continue");
        self.writer.raw("    ^continue:");
        let next = self.writer.op(&format!("spirv.IAdd {at}, {one} : {ty}"));
        self.store_variable(&counter, &next, scalar);
        self.writer.effect("spirv.Branch ^header");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    /// What the device's compiler is asked to do with a loop: one with barriers is large, and none of its addresses become
    /// constants.
    fn unroll_hint(&self, node: NodeId) -> &'static str {
        let mut meets = false;
        self.psg.walk_region(self.psg.nodes[node].regions[0], &mut |n| meets |= self.psg.nodes[n].op == Op::Barrier);
        match (meets, self.is_short(node)) {
            (true, _) => " control(DontUnroll)",
            (false, true) => " control(Unroll)",
            (false, false) => "",
        }
    }

    /// Whether a loop with constant bounds is small enough to be unrolled by the device's compiler.
    fn is_short(&self, node: NodeId) -> bool {
        let n = &self.psg.nodes[node];
        let [from, to] = [0, 1].map(|b| own::value(self.psg, n.operands[b], &self.fixed));
        let rounds = from.zip(to).map(|(from, to)| to.saturating_sub(from).saturating_add(1));
        rounds.is_some_and(|rounds| {
            rounds <= MOST_ROUNDS && rounds.saturating_mul(self.weight(n.regions[0])) <= MOST_NODES
        })
    }

    /// Operations of a region, those of unrolled loops as often as they are written.
    fn weight(&self, region: RegionId) -> i64 {
        let weights = self.psg.regions[region].nodes.iter().map(|&node| {
            let inner = self.psg.nodes[node].regions.iter().map(|&r| self.weight(r));
            let inner = inner.fold(0, i64::saturating_add);
            inner.saturating_mul(self.plan.rounds(node)).saturating_add(1)
        });
        weights.fold(0, i64::saturating_add)
    }

    /// A loop with a step: the number of rounds is computed before it, so that the counter cannot wrap.
    fn step_loop(&mut self, node: NodeId, (from, to): (&str, &str), scalar: Scalar) -> Result<(), Refusal> {
        let n = &self.psg.nodes[node];
        let region = n.regions[0];
        let step_node = n.operands[2];
        let Scalar::Int { signed: true, .. } = scalar else {
            return Err(self.refuse(node, "a loop with a step counts signed integers on a GPU"));
        };
        let Some(&counter_node) = self.psg.regions[region].params.first() else {
            return Err(self.refuse(node, "a loop without a counter"));
        };
        let (step, _) = self.scalar(step_node)?;
        let ty = scalar.text();
        let (zero, one) = (self.writer.number(0, scalar), self.writer.number(1, scalar));
        let by_zero = self.writer.op(&format!("spirv.IEqual {step}, {zero} : {ty}"));
        self.when(&by_zero, |cx| {
            let none = cx.writer.constant("0 : i64");
            cx.record(node, 3, &none.clone(), &none);
        });
        let up = self.writer.op(&format!("spirv.SGreaterThan {step}, {zero} : {ty}"));
        let ahead = self.writer.op(&format!("spirv.ISub {to}, {from} : {ty}"));
        let behind = self.writer.op(&format!("spirv.ISub {from}, {to} : {ty}"));
        let distance = self.writer.op(&format!("spirv.Select {up}, {ahead}, {behind} : i1, {ty}"));
        let down = self.writer.op(&format!("spirv.ISub {zero}, {step} : {ty}"));
        let width = self.writer.op(&format!("spirv.Select {up}, {step}, {down} : i1, {ty}"));
        let width = self.writer.op(&format!("spirv.Select {by_zero}, {one}, {width} : i1, {ty}"));
        let last = self.writer.op(&format!("spirv.UDiv {distance}, {width} : {ty}"));
        let below = self.writer.op(&format!("spirv.SLessThanEqual {from}, {to} : {ty}"));
        let above = self.writer.op(&format!("spirv.SGreaterThanEqual {from}, {to} : {ty}"));
        let enter = self.writer.op(&format!("spirv.Select {up}, {below}, {above} : i1, i1"));
        let nonzero = self.writer.op(&format!("spirv.LogicalNot {by_zero} : i1"));
        let enter = self.writer.op(&format!("spirv.LogicalAnd {enter}, {nonzero} : i1"));
        let (round, go) = (self.fresh_variable(scalar), self.fresh_variable(Scalar::Bool));
        self.store_variable(&round, &zero, scalar);
        self.store_variable(&go, &enter, Scalar::Bool);
        self.loop_while(&go, |cx| {
            let at = cx.load_variable(&round, scalar);
            let offset = cx.writer.op(&format!("spirv.IMul {at}, {step} : {ty}"));
            let value = cx.writer.op(&format!("spirv.IAdd {from}, {offset} : {ty}"));
            cx.writer.bind(counter_node, Value::Scalar(value, scalar));
            cx.region_nodes(region)?;
            let more = cx.writer.op(&format!("spirv.INotEqual {at}, {last} : {ty}"));
            let next = cx.writer.op(&format!("spirv.IAdd {at}, {one} : {ty}"));
            cx.store_variable(&round, &next, scalar);
            cx.store_variable(&go, &more, Scalar::Bool);
            Ok(())
        })?;
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    /// The launch domain: y and z guarded, x striding by the grid.
    pub(super) fn domain(&mut self, phase: &Phase) -> Result<(), Refusal> {
        let loops = phase.loops.clone();
        self.dimension(&loops, phase)
    }

    fn dimension(&mut self, loops: &[NodeId], phase: &Phase) -> Result<(), Refusal> {
        let Some((&node, inner)) = loops.split_first() else {
            return match phase.body {
                Some(body) => self.region_nodes(body),
                None => Ok(()),
            };
        };
        self.writer.at(self.psg.spans[node]);
        let region = self.psg.nodes[node].regions[0];
        let (from, scalar) = self.scalar(self.psg.nodes[node].operands[0])?;
        let Some(&counter) = self.psg.regions[region].params.first() else {
            return Err(self.refuse(node, "a parallel loop without a counter"));
        };
        // Dimension of the grid: 0 (x) for the innermost loop.
        let dimension = inner.len() as u32;
        let id = self.builtin("gid", dimension);
        let extent = self.push_member(self.layout.extents + dimension);
        let extent = self.writer.op(&format!("spirv.SConvert {extent} : i64 to i32"));
        if dimension == 0 {
            return self.grid_stride(&id, &extent, |cx, at| {
                cx.work_item(counter, &from, scalar, at);
                cx.between(region, inner)?;
                cx.dimension(inner, phase)
            });
        }
        let inside = self.writer.op(&format!("spirv.ULessThan {id}, {extent} : i32"));
        let mut done = Ok(());
        self.when(&inside, |cx| {
            cx.work_item(counter, &from, scalar, &id);
            done = cx.between(region, inner).and_then(|()| cx.dimension(inner, phase));
        });
        done
    }

    /// Binds a loop's counter: its lower bound plus the work-item's number.
    pub(super) fn work_item(&mut self, counter: NodeId, from: &str, scalar: Scalar, id: &str) {
        let ty = scalar.text();
        let id = match scalar {
            Scalar::Int { bits: 32, .. } => id.to_owned(),
            _ => self.writer.op(&format!("spirv.UConvert {id} : i32 to {ty}")),
        };
        let at = self.writer.op(&format!("spirv.IAdd {from}, {id} : {ty}"));
        self.writer.bind(counter, Value::Scalar(at, scalar));
    }

    /// Operations between two nested loops of the domain.
    fn between(&mut self, region: RegionId, inner: &[NodeId]) -> Result<(), Refusal> {
        let Some(&next) = inner.first() else { return Ok(()) };
        let psg = self.psg;
        psg.regions[region].nodes.iter().filter(|&&n| n != next).try_for_each(|&n| self.node(n))
    }

    /// Runs `body` for the indices from `id` to below `extent` in steps of the grid.
    pub(super) fn grid_stride(
        &mut self,
        id: &str,
        extent: &str,
        body: impl FnOnce(&mut Self, &str) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let index = Scalar::Int { bits: 32, signed: false };
        let groups = self.builtin("groups", 0);
        let width = self.writer.number(i64::from(self.local[0]), index);
        let stride = self.writer.op(&format!("spirv.IMul {groups}, {width} : i32"));
        let (counter, go) = (self.fresh_variable(index), self.fresh_variable(Scalar::Bool));
        let enter = self.writer.op(&format!("spirv.ULessThan {id}, {extent} : i32"));
        self.store_variable(&counter, id, index);
        self.store_variable(&go, &enter, Scalar::Bool);
        self.loop_while(&go, |cx| {
            let at = cx.load_variable(&counter, index);
            body(cx, &at)?;
            if cx.cooperates {
                // The next round writes the same arrays.
                cx.barrier();
            }
            let next = cx.writer.op(&format!("spirv.IAdd {at}, {stride} : i32"));
            let more = cx.writer.op(&format!("spirv.ULessThan {next}, {extent} : i32"));
            cx.store_variable(&counter, &next, index);
            cx.store_variable(&go, &more, Scalar::Bool);
            Ok(())
        })
    }

    /// One component of a built-in vector.
    pub(super) fn builtin(&mut self, symbol: &str, component: u32) -> String {
        let pointer = "!spirv.ptr<vector<3xi32>, Input>";
        let address = self.writer.op(&format!("spirv.mlir.addressof @{symbol} : {pointer}"));
        let all = self.writer.op(&format!("spirv.Load \"Input\" {address} : vector<3xi32>"));
        self.writer.op(&format!("spirv.CompositeExtract {all}[{component} : i32] : vector<3xi32>"))
    }
}
