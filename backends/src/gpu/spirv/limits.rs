//! Index checks of neighbours that are read together: one comparison of 32 bits for all of them.
//!
//! For each buffer and each number of neighbours, the kernel's start computes what the first index must be below. A run
//! that does not fit is reported by one block, which finds its first index out of range; what is read instead lies at the
//! buffer's start, or at the zeros behind the status block where the buffer is shorter than a run.

use super::memory::Place;
use super::quads::{self, Quad};
use super::trap::INDEX;
use super::types::Scalar;
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::Op;
use rustc_hash::FxHashMap;

pub(super) const I32: Scalar = Scalar::Int { bits: 32, signed: true };

/// By buffer and number of neighbours: the limit, and where a read outside goes.
pub(super) type Limits = FxHashMap<(NodeId, usize), Limit>;

#[derive(Clone)]
pub(super) struct Limit {
    /// The first index of a run is inside where it is less than this, as unsigned numbers of 32 bits.
    below: String,
    /// The buffer's address, or that of zeros.
    base: String,
}

/// The buffers of a launch that are read by checked runs, in the order of the code.
pub(super) fn wanted(psg: &Psg, body: RegionId) -> Vec<(NodeId, usize)> {
    let mut regions = vec![body];
    psg.walk_region(body, &mut |node| regions.extend(psg.nodes[node].regions.iter().copied()));
    let mut wanted = Vec::new();
    for region in regions {
        for quad in quads::find(psg, region).all() {
            let first = quad.nodes[0];
            let read = matches!(psg.nodes[first].op, Op::BufferGet { .. });
            let key = (psg.nodes[first].operands[0], quad.nodes.len());
            if read && quad.is_checked(psg) && !wanted.contains(&key) {
                wanted.push(key);
            }
        }
    }
    wanted
}

impl Lowering<'_> {
    /// Computes the limits. Stands at the kernel's start.
    pub(super) fn open_limits(&mut self, wanted: &[(NodeId, usize)]) {
        for &(buffer, count) in wanted {
            let Some(Value::Buffer { base, len, .. }) = self.writer.value(buffer).cloned() else { continue };
            let behind = self.writer.constant(&format!("{} : i64", count - 1));
            let zero = self.writer.constant("0 : i64");
            let most = self.writer.constant(&format!("{} : i64", i64::from(i32::MAX)));
            let starts = self.writer.op(&format!("spirv.ISub {len}, {behind} : i64"));
            let starts = self.writer.op(&format!("spirv.GL.SMax {starts}, {zero} : i64"));
            let starts = self.writer.op(&format!("spirv.GL.SMin {starts}, {most} : i64"));
            let below = self.writer.op(&format!("spirv.SConvert {starts} : i64 to i32"));
            let any = self.writer.op(&format!("spirv.SGreaterThan {starts}, {zero} : i64"));
            let zeros = self.zeros_address().unwrap_or_else(|| base.clone());
            let base = self.writer.op(&format!("spirv.Select {any}, {base}, {zeros} : i1, i64"));
            self.limits.insert((buffer, count), Limit { below, base });
        }
    }

    /// The elements of an aligned address; zeros or others of the buffer, and a report, where one of them is out of range. No
    /// branch around the load.
    pub(super) fn read_run(
        &mut self,
        quad: &Quad,
        place: &Place,
        (index, address): (&str, &str),
    ) -> Result<String, Refusal> {
        let count = quad.nodes.len();
        let buffer = self.psg.nodes[quad.nodes[0]].operands[0];
        let limit = self.limits.get(&(buffer, count)).cloned().filter(|_| quad.is_checked(self.psg));
        let (base, scalar) = self.scalar(quad.base)?;
        let Some(limit) = limit.filter(|_| scalar == I32) else {
            return Ok(self.read_run_wide(quad, place, (index, address)));
        };
        let offset = self.writer.number(quad.first, I32);
        let short = self.writer.op(&format!("spirv.IAdd {base}, {offset} : i32"));
        let fine = self.writer.op(&format!("spirv.ULessThan {short}, {} : i32", limit.below));
        let failed = self.writer.op(&format!("spirv.LogicalNot {fine} : i1"));
        self.when(&failed, |cx| cx.record_run(quad, index, &place.len));
        let zero = self.writer.number(0, I32);
        let short = self.writer.op(&format!("spirv.Select {fine}, {short}, {zero} : i1, i32"));
        let inside = self.writer.op(&format!("spirv.UConvert {short} : i32 to i64"));
        let from = Place { base: limit.base, len: place.len.clone(), element: place.element };
        let address = self.address(&from, &inside);
        Ok(self.load_run(place, &address, count))
    }

    /// The same with indices of other types, and where nothing is to be checked.
    fn read_run_wide(&mut self, quad: &Quad, place: &Place, (index, address): (&str, &str)) -> String {
        let Some(fine) = self.quad_inside(quad, place, index) else {
            return self.load_run(place, address, quad.nodes.len());
        };
        let failed = self.writer.op(&format!("spirv.LogicalNot {fine} : i1"));
        self.when(&failed, |cx| cx.record_run(quad, index, &place.len));
        let zeros = self.zeros_address().unwrap_or_else(|| place.base.clone());
        let address = self.writer.op(&format!("spirv.Select {fine}, {address}, {zeros} : i1, i64"));
        self.load_run(place, &address, quad.nodes.len())
    }

    /// Notes the first of neighbours that is out of range; one of them is.
    fn record_run(&mut self, quad: &Quad, index: &str, len: &str) {
        // The first index is inside: then the first outside is the length itself.
        let begins = self.writer.op(&format!("spirv.ULessThan {index}, {len} : i64"));
        let failing = self.writer.op(&format!("spirv.Select {begins}, {len}, {index} : i1, i64"));
        let nth = self.writer.op(&format!("spirv.ISub {failing}, {index} : i64"));
        let nth = self.writer.op(&format!("spirv.SConvert {nth} : i64 to i32"));
        let spans: Vec<_> = quad.nodes.iter().map(|&node| self.psg.spans[node]).collect();
        let numbers: Vec<i64> = spans.into_iter().map(|span| self.site(span, INDEX, len)).collect();
        let mut number = self.writer.number(numbers[0], I32);
        if numbers.windows(2).all(|w| w[1] == w[0] + 1) {
            number = self.writer.op(&format!("spirv.IAdd {number}, {nth} : i32"));
        } else {
            for (n, &other) in numbers.iter().enumerate().skip(1) {
                let (n, other) = (self.writer.number(n as i64, I32), self.writer.number(other, I32));
                let here = self.writer.op(&format!("spirv.IEqual {nth}, {n} : i32"));
                number = self.writer.op(&format!("spirv.Select {here}, {other}, {number} : i1, i32"));
            }
        }
        self.note_failure(&number, Some(&failing));
    }
}
