//! Failures of a work-item, recorded out of line.
//!
//! Where a check fails, the work-item only notes the number of the place and the index in variables of its own, and goes
//! on. The status block is written at one place, at the end of the kernel: from the variables and from what is known of
//! the places. So a check costs a comparison and a few moves, however many a kernel has.
//!
//! Promises: a work-item reports the first of its failures; of all work-items, one is reported.

use super::Lowering;
use super::types::Scalar;
use clef_frontend::span::Span;
use clef_psg::id::NodeId;

const I32: Scalar = Scalar::Int { bits: 32, signed: true };
const I64: Scalar = Scalar::Int { bits: 64, signed: true };

/// What is known of a place that can fail.
#[derive(Clone, PartialEq)]
struct Site {
    kind: u32,
    line: u32,
    column: u32,
    file: u32,
    /// The length that the index must be below: a value that is there at the kernel's start, or a constant.
    len: String,
}

/// The places of a kernel, and its variables.
#[derive(Default)]
pub(super) struct Traps {
    sites: Vec<Site>,
    /// Variables of the place's number (from 1 on; 0 is none) and of the index.
    variables: Option<(String, String)>,
}

impl Lowering<'_> {
    /// Makes the variables. Stands at the kernel's start.
    pub(super) fn open_traps(&mut self) {
        let (zero, none) = (self.writer.number(0, I32), self.writer.number(0, I64));
        let (site, index) = (self.fresh_variable(I32), self.fresh_variable(I64));
        self.store_variable(&site, &zero, I32);
        self.store_variable(&index, &none, I64);
        self.traps.variables = Some((site, index));
    }

    /// Notes a failure, if it is the work-item's first.
    pub(super) fn record(&mut self, node: NodeId, kind: u32, index: &str, len: &str) {
        let number = self.site(self.psg.spans[node], kind, len);
        let number = self.writer.number(number, I32);
        self.note_failure(&number, (kind == INDEX).then_some(index));
    }

    /// Notes a place's number, and the index, if it is the work-item's first failure.
    pub(super) fn note_failure(&mut self, number: &str, index: Option<&str>) {
        let Some((site_variable, index_variable)) = self.traps.variables.clone() else { return };
        let zero = self.writer.number(0, I32);
        let before = self.load_variable(&site_variable, I32);
        let first = self.writer.op(&format!("spirv.IEqual {before}, {zero} : i32"));
        let site = self.writer.op(&format!("spirv.Select {first}, {number}, {before} : i1, i32"));
        self.store_variable(&site_variable, &site, I32);
        let Some(index) = index else { return };
        let before = self.load_variable(&index_variable, I64);
        let index = self.writer.op(&format!("spirv.Select {first}, {index}, {before} : i1, i64"));
        self.store_variable(&index_variable, &index, I64);
    }

    /// The number of a place.
    pub(super) fn site(&mut self, span: Span, kind: u32, len: &str) -> i64 {
        let files = &self.psg.files;
        let (line, column) =
            files.get(span.file.0 as usize).map_or((0, 0), |file| file.lines.line_column(span.start));
        let site = Site { kind, line, column, file: span.file.0, len: len.to_owned() };
        let known = self.traps.sites.iter().position(|s| *s == site);
        let place = known.unwrap_or_else(|| {
            self.traps.sites.push(site);
            self.traps.sites.len() - 1
        });
        place as i64 + 1
    }

    /// Writes the status block if this work-item failed and nobody else has written. Stands at the kernel's end.
    pub(super) fn close_traps(&mut self) {
        let sites = std::mem::take(&mut self.traps.sites);
        let (Some((site, index)), Some(status)) = (self.traps.variables.take(), self.status.clone()) else {
            return;
        };
        if sites.is_empty() {
            return;
        }
        let zero = self.writer.number(0, I32);
        let site = self.load_variable(&site, I32);
        let failed = self.writer.op(&format!("spirv.INotEqual {site}, {zero} : i32"));
        self.when(&failed, |cx| {
            let kind = cx.of_site(&site, &sites, |cx, s| cx.writer.number(i64::from(s.kind), I32), I32);
            let pointer = cx.status_pointer(&status, 0, I32);
            let before = cx.writer.op(&format!(
                "spirv.AtomicCompareExchange <Device> <None> <None> {pointer}, {kind}, {zero} : !spirv.ptr<i32, PhysicalStorageBuffer>"
            ));
            let first = cx.writer.op(&format!("spirv.IEqual {before}, {zero} : i32"));
            cx.when(&first, |cx| {
                let words: [(u32, fn(&Site) -> u32); 3] =
                    [(4, |s| s.line), (8, |s| s.column), (12, |s| s.file)];
                for (offset, word) in words {
                    let value =
                        cx.of_site(&site, &sites, |cx, s| cx.writer.number(i64::from(word(s)), I32), I32);
                    cx.store_status(&status, offset, &value, I32);
                }
                let index = cx.load_variable(&index, I64);
                cx.store_status(&status, 16, &index, I64);
                let len = cx.of_site(&site, &sites, |_, s| s.len.clone(), I64);
                cx.store_status(&status, 24, &len, I64);
            });
        });
    }

    /// The value that belongs to a place's number.
    fn of_site(
        &mut self,
        site: &str,
        sites: &[Site],
        value: impl Fn(&mut Self, &Site) -> String,
        scalar: Scalar,
    ) -> String {
        let usual = value(self, &sites[0]);
        let mut chosen = usual.clone();
        for (n, known) in sites.iter().enumerate().skip(1) {
            let own = value(self, known);
            if own == usual {
                continue;
            }
            let number = self.writer.number(n as i64 + 1, I32);
            let here = self.writer.op(&format!("spirv.IEqual {site}, {number} : i32"));
            chosen = self.writer.op(&format!("spirv.Select {here}, {own}, {chosen} : i1, {}", scalar.text()));
        }
        chosen
    }

    /// The address of the zeros behind the status block: what an index out of range reads.
    pub(super) fn zeros_address(&mut self) -> Option<String> {
        let status = self.status.clone()?;
        let offset = self.writer.number(ZEROS, I64);
        Some(self.writer.op(&format!("spirv.IAdd {status}, {offset} : i64")))
    }

    fn status_pointer(&mut self, status: &str, offset: u32, scalar: Scalar) -> String {
        let offset = self.writer.number(i64::from(offset), I64);
        let address = self.writer.op(&format!("spirv.IAdd {status}, {offset} : i64"));
        self.writer.op(&format!(
            "spirv.ConvertUToPtr {address} : i64 to !spirv.ptr<{}, PhysicalStorageBuffer>",
            scalar.text()
        ))
    }

    fn store_status(&mut self, status: &str, offset: u32, value: &str, scalar: Scalar) {
        let pointer = self.status_pointer(status, offset, scalar);
        self.writer.effect(&format!(
            "spirv.Store \"PhysicalStorageBuffer\" {pointer}, {value} [\"Aligned\", {}] : {}",
            scalar.size(),
            scalar.text()
        ));
    }
}

/// Kinds of failures, as in the runtime's status block.
pub(super) const INDEX: u32 = 1;

/// Where 16 bytes of zeros begin in the status block.
const ZEROS: i64 = 32;
