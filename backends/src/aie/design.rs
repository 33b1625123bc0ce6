//! The array's side of a kernel: tiles, object FIFOs, cores, the runtime sequence; as text in two forms.
//!
//! One core computes. Two inputs and two outputs reach it by its own DMA channels; more of them go through the cores
//! above and below, whose memory it shares and which only copy. The pretty form is what `aie-opt` reads; the generic
//! form has the same operations so that an `mlir-opt` that does not know the dialect can parse them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Column and row.
pub(super) type Tile = (u32, u32);

/// The core that computes, then those that forward, by lane.
const LANES: [Tile; 3] = [(0, 3), (0, 4), (0, 2)];
/// DMA channels of a core in each direction.
const CHANNELS: usize = 2;
/// Object FIFOs in each direction.
pub(super) const MOST: usize = LANES.len() * CHANNELS;
/// Bytes of a core's data memory.
pub(super) const MEMORY: u64 = 65_536;
/// Stack of a core before its variables.
const STACK: u64 = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Consume,
    Produce,
}

impl Port {
    fn text(self) -> &'static str {
        if self == Port::Consume { "Consume" } else { "Produce" }
    }
}

/// A buffer that goes to or from the core.
#[derive(Clone)]
pub(super) struct Stream {
    /// Symbol of the object FIFO at the computing core.
    pub name: String,
    /// `memref<16xi32>`.
    pub memref: String,
    pub elements: u64,
    pub bytes: u64,
    pub port: Port,
    /// Argument of the runtime sequence.
    pub arg: usize,
    /// What the body calls the object.
    pub value: String,
}

pub(super) struct Design {
    pub name: String,
    /// Types of the runtime sequence's arguments.
    pub args: Vec<String>,
    pub streams: Vec<Stream>,
    /// Constants and variables, before the rounds.
    pub head: String,
    /// One round: what runs for each dispatch.
    pub body: String,
    /// Bytes of variables.
    pub variables: u64,
}

struct Fifo {
    name: String,
    from: Tile,
    to: Tile,
    memref: String,
}

/// The way of a stream: the FIFO at the host's side, and the forwarding core if there is one.
struct Way {
    outer: String,
    lane: usize,
    column: u32,
}

impl Design {
    fn ways(&self) -> Vec<Way> {
        let mut used = [0_usize; 2];
        let mut ways = Vec::new();
        for stream in &self.streams {
            let place = &mut used[usize::from(stream.port == Port::Produce)];
            let lane = *place / CHANNELS;
            *place += 1;
            let outer = if lane == 0 { stream.name.clone() } else { format!("{}_via", stream.name) };
            ways.push(Way { outer, lane, column: lane as u32 });
        }
        ways
    }

    fn fifos(&self) -> Vec<Fifo> {
        let mut fifos = Vec::new();
        for (stream, way) in self.streams.iter().zip(self.ways()) {
            let (shim, core, lane) = ((way.column, 0), LANES[0], LANES[way.lane]);
            let mut hops = vec![(way.outer.clone(), shim, lane)];
            if way.lane != 0 {
                hops.push((stream.name.clone(), lane, core));
            }
            for (name, from, to) in hops {
                let (from, to) = if stream.port == Port::Consume { (from, to) } else { (to, from) };
                fifos.push(Fifo { name, from, to, memref: stream.memref.clone() });
            }
        }
        fifos
    }

    /// Bytes in the fullest core's memory.
    pub(super) fn memory(&self) -> u64 {
        let mut tiles: BTreeMap<usize, u64> = BTreeMap::from([(0, STACK + self.variables)]);
        for (stream, way) in self.streams.iter().zip(self.ways()) {
            *tiles.entry(way.lane).or_insert(STACK) += stream.bytes;
            if way.lane != 0 {
                // The shared object lies with its producer.
                let at = if stream.port == Port::Consume { way.lane } else { 0 };
                *tiles.entry(at).or_insert(STACK) += stream.bytes;
            }
        }
        tiles.values().copied().max().unwrap_or(0)
    }

    /// The `aie.device` operation.
    pub(super) fn text(&self, generic: bool) -> String {
        let mut out = Printer { generic, text: String::new() };
        out.open_device(&self.name);
        let fifos = self.fifos();
        let mut tiles: Vec<Tile> = fifos.iter().flat_map(|f| [f.from, f.to]).chain([LANES[0]]).collect();
        tiles.sort_unstable();
        tiles.dedup();
        tiles.into_iter().for_each(|tile| out.tile(tile));
        fifos.iter().for_each(|fifo| out.fifo(fifo));
        out.core(LANES[0], STACK + self.variables, &self.head, &self.streams, &self.body);
        let ways = self.ways();
        for (lane, &tile) in LANES.iter().enumerate().skip(1) {
            self.forward(&ways, lane, tile, &mut out);
        }
        self.sequence(&ways, &mut out);
        out.close_device();
        out.text
    }

    /// A core that copies between its DMA's objects and those that it shares with the computing one.
    fn forward(&self, ways: &[Way], lane: usize, tile: Tile, out: &mut Printer) {
        let mine: Vec<_> = self.streams.iter().zip(ways).filter(|(_, way)| way.lane == lane).collect();
        if mine.is_empty() {
            return;
        }
        out.open_core(tile);
        // Inputs first: the computing core has no outputs before it has them.
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            mine.into_iter().partition(|(s, _)| s.port == Port::Consume);
        for (i, (stream, way)) in inputs.into_iter().chain(outputs).enumerate() {
            let (from, to) = match stream.port {
                Port::Consume => (&way.outer, &stream.name),
                Port::Produce => (&stream.name, &way.outer),
            };
            let pair = [(from, Port::Consume, "from"), (to, Port::Produce, "to")];
            for (name, port, what) in pair {
                out.acquire(name, port, &format!("%{what}{i}"), &stream.memref);
            }
            out.line(4, &format!("%length{i} = arith.constant {} : index", stream.elements));
            let (at, memref) = (format!("%at{i}"), &stream.memref);
            out.line(4, &format!("scf.for {at} = %zero to %length{i} step %one {{"));
            out.line(5, &format!("%moved{i} = memref.load %from{i}[{at}] : {memref}"));
            out.line(5, &format!("memref.store %moved{i}, %to{i}[{at}] : {memref}"));
            out.line(4, "}");
            for (name, port, _) in pair {
                out.release(name, port);
            }
        }
        out.close_core(STACK);
    }

    /// Moves the arguments in and out, and waits for what comes out.
    fn sequence(&self, ways: &[Way], out: &mut Printer) {
        out.open_sequence(&self.args);
        for (id, (stream, way)) in self.streams.iter().zip(ways).enumerate() {
            out.transfer(id, stream, &way.outer);
        }
        for (stream, way) in self.streams.iter().zip(ways) {
            if stream.port == Port::Produce {
                out.wait(&way.outer);
            }
        }
        out.close_sequence();
    }
}

struct Printer {
    generic: bool,
    text: String,
}

fn tile_name((column, row): Tile) -> String {
    format!("%tile_{column}_{row}")
}

impl Printer {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{:1$}{line}", "", depth * 2);
    }

    /// The line of the form that is printed.
    fn either(&mut self, depth: usize, pretty: &str, generic: &str) {
        let line = if self.generic { generic } else { pretty };
        self.line(depth, line);
    }

    fn open_device(&mut self, name: &str) {
        self.either(1, &format!("aie.device(npu2) @{name} {{"), "\"aie.device\"() ({");
    }

    fn close_device(&mut self) {
        if self.generic {
            self.line(2, "\"aie.end\"() : () -> ()");
        }
        self.either(1, "}", "}) {device = \"npu2\"} : () -> ()");
    }

    fn tile(&mut self, tile: Tile) {
        let (name, (column, row)) = (tile_name(tile), tile);
        self.either(
            2,
            &format!("{name} = aie.tile({column}, {row})"),
            &format!("{name} = \"aie.tile\"() {{col = {column} : i32, row = {row} : i32}} : () -> index"),
        );
    }

    fn fifo(&mut self, fifo: &Fifo) {
        let (from, to) = (tile_name(fifo.from), tile_name(fifo.to));
        let ty = format!("!aie.objectfifo<{}>", fifo.memref);
        let name = &fifo.name;
        self.either(
            2,
            &format!("aie.objectfifo @{name}({from}, {{{to}}}, 1 : i32) : {ty}"),
            &format!(
                "\"aie.objectfifo\"({from}, {to}) {{sym_name = \"{name}\", elemNumber = 1 : i32, elemType = {ty}}} : (index, index) -> ()"
            ),
        );
    }

    fn open_core(&mut self, tile: Tile) {
        let (column, row) = tile;
        let tile = tile_name(tile);
        let name = format!("%core_{column}_{row}");
        self.either(
            2,
            &format!("{name} = aie.core({tile}) {{"),
            &format!("{name} = \"aie.core\"({tile}) ({{"),
        );
        for (name, value) in [("zero", 0), ("one", 1), ("forever", i64::MAX)] {
            self.line(3, &format!("%{name} = arith.constant {value} : index"));
        }
        self.line(3, "scf.for %round = %zero to %forever step %one {");
    }

    fn close_core(&mut self, stack: u64) {
        self.line(3, "}");
        self.either(3, "aie.end", "\"aie.end\"() : () -> ()");
        self.either(
            2,
            &format!("}} {{stack_size = {stack} : i32}}"),
            &format!("}}) {{stack_size = {stack} : i32}} : (index) -> index"),
        );
    }

    fn core(&mut self, tile: Tile, stack: u64, head: &str, streams: &[Stream], body: &str) {
        self.open_core(tile);
        // What does not change stands before the rounds.
        let rounds = self.text.rfind("      scf.for %round").unwrap_or(self.text.len());
        self.text.insert_str(rounds, head);
        for stream in streams {
            self.acquire(&stream.name, stream.port, &stream.value, &stream.memref);
        }
        self.text.push_str(body);
        for stream in streams {
            self.release(&stream.name, stream.port);
        }
        self.close_core(stack);
    }

    fn acquire(&mut self, fifo: &str, port: Port, value: &str, memref: &str) {
        let view = format!("%view_{}", value.trim_start_matches('%'));
        let ty = format!("!aie.objectfifosubview<{memref}>");
        let port = port.text();
        self.either(
            4,
            &format!("{view} = aie.objectfifo.acquire @{fifo}({port}, 1) : {ty}"),
            &format!(
                "{view} = \"aie.objectfifo.acquire\"() {{objFifo_name = @{fifo}, port = \"{port}\", size = 1 : i32}} : () -> {ty}"
            ),
        );
        self.either(
            4,
            &format!("{value} = aie.objectfifo.subview.access {view}[0] : {ty} -> {memref}"),
            &format!(
                "{value} = \"aie.objectfifo.subview.access\"({view}) {{index = 0 : i32}} : ({ty}) -> {memref}"
            ),
        );
    }

    fn release(&mut self, fifo: &str, port: Port) {
        let port = port.text();
        self.either(
            4,
            &format!("aie.objectfifo.release @{fifo}({port}, 1)"),
            &format!(
                "\"aie.objectfifo.release\"() {{objFifo_name = @{fifo}, port = \"{port}\", size = 1 : i32}} : () -> ()"
            ),
        );
    }

    fn open_sequence(&mut self, args: &[String]) {
        let listed: Vec<String> = args.iter().enumerate().map(|(i, ty)| format!("%arg{i}: {ty}")).collect();
        let listed = listed.join(", ");
        self.either(2, &format!("aie.runtime_sequence({listed}) {{"), "\"aie.runtime_sequence\"() ({");
        if self.generic {
            self.line(2, &format!("^entry({listed}):"));
        }
    }

    fn close_sequence(&mut self) {
        self.either(2, "}", "}) : () -> ()");
    }

    fn transfer(&mut self, id: usize, stream: &Stream, fifo: &str) {
        let (arg, n, memref) = (stream.arg, stream.elements, &stream.memref);
        let pretty = format!(
            "aiex.npu.dma_memcpy_nd(%arg{arg}[0, 0, 0, 0][1, 1, 1, {n}][0, 0, 0, 1]) {{id = {id} : i64, metadata = @{fifo}}} : {memref}"
        );
        let generic = format!(
            "\"aiex.npu.dma_memcpy_nd\"(%arg{arg}) {{id = {id} : i64, metadata = @{fifo}, static_offsets = array<i64: 0, 0, 0, 0>, static_sizes = array<i64: 1, 1, 1, {n}>, static_strides = array<i64: 0, 0, 0, 1>}} : ({memref}) -> ()"
        );
        self.either(3, &pretty, &generic);
    }

    fn wait(&mut self, fifo: &str) {
        self.either(
            3,
            &format!("aiex.npu.dma_wait {{symbol = @{fifo}}}"),
            &format!("\"aiex.npu.dma_wait\"() {{symbol = @{fifo}}} : () -> ()"),
        );
    }
}
