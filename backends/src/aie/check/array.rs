//! XDNA2's array, as far as a device uses it: tiles, object FIFOs, channels, memory, transfers.

use super::table;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const COLUMNS: u32 = 8;
const ROWS: u32 = 6;
/// Rows from here on are cores; below them is a memory tile, and at 0 the way to the host.
const FIRST_CORE: u32 = 2;
const CORE_MEMORY: u64 = 65_536;
/// Buffer descriptors of a tile at row 0.
const DESCRIPTORS: usize = 16;

type Tile = (u32, u32);

struct Fifo {
    from: Tile,
    to: Tile,
    memref: String,
    bytes: u64,
    elements: u64,
}

/// One `aie.device`.
#[derive(Default)]
pub(super) struct Device {
    symbols: BTreeSet<String>,
    tiles: BTreeMap<String, Tile>,
    fifos: BTreeMap<String, Fifo>,
    cores: BTreeSet<Tile>,
    current: Option<Tile>,
    /// FIFO and port, acquired by the current core and not released.
    held: BTreeSet<(String, String)>,
    /// Ends of FIFOs that a core has used.
    used: BTreeSet<(String, String)>,
    memory: BTreeMap<Tile, u64>,
    moved: BTreeSet<String>,
    ids: BTreeSet<String>,
    waited: BTreeSet<String>,
}

type Checked = Result<(), String>;

impl Device {
    pub(super) fn begin(&mut self, symbol: &str) -> Checked {
        let mut symbols = std::mem::take(&mut self.symbols);
        if symbol.is_empty() || !symbols.insert(symbol.to_owned()) {
            return Err(format!("a second device `{symbol}`"));
        }
        *self = Self { symbols, ..Self::default() };
        Ok(())
    }

    /// `(column, row)`; the name is the one that follows from it.
    pub(super) fn tile(&mut self, rest: &str) -> Checked {
        let inner = rest.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or("no place")?;
        let (column, row) = inner.split_once(", ").ok_or("no place")?;
        let number = |t: &str| t.parse::<u32>().map_err(|_| "no place".to_owned());
        let tile = (number(column)?, number(row)?);
        if tile.0 >= COLUMNS || tile.1 >= ROWS {
            return Err(format!("npu2 has {COLUMNS} columns and {ROWS} rows"));
        }
        match self.tiles.insert(format!("%tile_{}_{}", tile.0, tile.1), tile) {
            None => Ok(()),
            Some(_) => Err("a tile twice".into()),
        }
    }

    fn place(&self, name: &str) -> Result<Tile, String> {
        self.tiles.get(name).copied().ok_or_else(|| format!("`{name}` is not the tile of its name"))
    }

    pub(super) fn fifo(&mut self, rest: &str, scopes: &[HashMap<String, String>]) -> Checked {
        let (head, ty) = rest.split_once(") : ").ok_or("no type")?;
        let (name, ends) = head.strip_prefix('@').and_then(|h| h.split_once('(')).ok_or("no name")?;
        let (from, ends) = ends.split_once(", {").ok_or("no ends")?;
        let (to, depth) = ends.split_once("}, ").ok_or("no ends")?;
        for tile in [from, to] {
            if !scopes.iter().any(|s| s.get(tile).is_some_and(|ty| ty == "tile")) {
                return Err(format!("`{tile}` is no tile"));
            }
        }
        let (from, to) = (self.place(from)?, self.place(to)?);
        let depth: u64 = depth.strip_suffix(" : i32").and_then(|d| d.parse().ok()).ok_or("no depth")?;
        let memref = ty.strip_prefix("!aie.objectfifo<").and_then(|t| t.strip_suffix('>'));
        let memref = memref.ok_or("no object FIFO's type")?;
        let (elements, bytes) = table::memref(memref)?;
        if depth == 0 || from == to || bytes % 4 != 0 {
            return Err(
                "an object FIFO without depth, between a tile and itself, or of part of a word".into()
            );
        }
        let fifo = Fifo { from, to, memref: memref.to_owned(), bytes: bytes * depth, elements };
        match self.fifos.insert(name.to_owned(), fifo) {
            None => Ok(()),
            Some(_) => Err(format!("a second FIFO `{name}`")),
        }
    }

    // --- cores

    pub(super) fn open_core(&mut self, tile: &str) -> Checked {
        let tile = self.place(tile)?;
        if tile.1 < FIRST_CORE {
            return Err("no core on this tile".into());
        }
        if !self.cores.insert(tile) {
            return Err("a second core on this tile".into());
        }
        self.current = Some(tile);
        Ok(())
    }

    pub(super) fn close_core(&mut self, attributes: &str) -> Checked {
        let stack = attributes.strip_prefix("{stack_size = ").and_then(|a| a.strip_suffix(" : i32}"));
        let stack: u64 = stack.and_then(|s| s.parse().ok()).ok_or("no stack size")?;
        if let Some((name, _)) = self.held.first() {
            return Err(format!("an object of `{name}` is not released"));
        }
        if let Some(tile) = self.current.take() {
            *self.memory.entry(tile).or_insert(0) += stack;
        }
        Ok(())
    }

    /// `@name(Port, 1)`, with the FIFO where the core may use this end.
    fn end_of(&self, rest: &str) -> Result<(String, String), String> {
        let (name, ends) = rest.strip_prefix('@').and_then(|r| r.split_once('(')).ok_or("no FIFO")?;
        let port = ends.strip_suffix(", 1)").ok_or("not one object")?;
        let fifo = self.fifos.get(name).ok_or_else(|| format!("no FIFO `{name}`"))?;
        let tile = match port {
            "Consume" => fifo.to,
            "Produce" => fifo.from,
            _ => return Err(format!("a port {port}")),
        };
        if Some(tile) != self.current {
            return Err(format!("this end of `{name}` is at another tile"));
        }
        Ok((name.to_owned(), port.to_owned()))
    }

    pub(super) fn acquire(&mut self, rest: &str) -> Result<String, String> {
        let (head, ty) = rest.split_once(" : ").ok_or("no type")?;
        let end = self.end_of(head)?;
        let wanted = format!("!aie.objectfifosubview<{}>", self.fifos[&end.0].memref);
        if ty != wanted {
            return Err(format!("objects of `{}` are {wanted}", end.0));
        }
        self.used.insert(end.clone());
        if self.held.insert(end) { Ok(wanted) } else { Err("acquired twice".into()) }
    }

    pub(super) fn release(&mut self, rest: &str) -> Checked {
        let end = self.end_of(rest)?;
        if self.held.remove(&end) { Ok(()) } else { Err("released without an acquire".into()) }
    }

    // --- the host's side

    pub(super) fn transfer(&mut self, rest: &str, ty: &str) -> Checked {
        let (list, attributes) = rest.split_once(") {").ok_or("no attributes")?;
        let (_, places) = list.split_once('[').ok_or("no sizes")?;
        let attributes = attributes.split('}').next().unwrap_or_default();
        let (id, name) = attributes.split_once(" : i64, metadata = @").ok_or("no metadata")?;
        let fifo = self.fifos.get(name).ok_or_else(|| format!("no FIFO `{name}`"))?;
        if fifo.from.1 != 0 && fifo.to.1 != 0 {
            return Err(format!("`{name}` does not end at the host"));
        }
        if fifo.memref != ty {
            return Err(format!("objects of `{name}` are {}", fifo.memref));
        }
        if places != format!("0, 0, 0, 0][1, 1, 1, {}][0, 0, 0, 1]", fifo.elements) {
            return Err("not the whole object".into());
        }
        let number: Option<usize> = id.strip_prefix("id = ").and_then(|i| i.parse().ok());
        if number.is_none_or(|n| n >= DESCRIPTORS) || !self.ids.insert(id.to_owned()) {
            return Err("a transfer without a number of its own".into());
        }
        if self.moved.insert(name.to_owned()) { Ok(()) } else { Err("moved twice".into()) }
    }

    pub(super) fn wait(&mut self, rest: &str) -> Checked {
        let name = rest.strip_prefix("{symbol = @").and_then(|r| r.strip_suffix('}')).ok_or("no symbol")?;
        match self.fifos.get(name) {
            Some(fifo) if fifo.to.1 == 0 && self.moved.contains(name) => {
                self.waited.insert(name.to_owned());
                Ok(())
            }
            _ => Err(format!("nothing comes out of `{name}`")),
        }
    }

    /// What can be said only when all is known.
    pub(super) fn end(&mut self) -> Checked {
        let mut channels: BTreeMap<(Tile, bool), u32> = BTreeMap::new();
        for (name, fifo) in &self.fifos {
            let (from, to) = (fifo.from, fifo.to);
            for (tile, port) in [(from, "Produce"), (to, "Consume")] {
                if tile.1 >= FIRST_CORE && !self.used.contains(&(name.clone(), port.to_owned())) {
                    return Err(format!("no core uses the end of `{name}` at {tile:?}"));
                }
            }
            if (from.1 == 0 || to.1 == 0) && !self.moved.contains(name) {
                return Err(format!("nothing moves `{name}`"));
            }
            if to.1 == 0 && !self.waited.contains(name) {
                return Err(format!("nobody waits for `{name}`"));
            }
            let neighbours =
                from.1 >= FIRST_CORE && to.1 >= FIRST_CORE && from.0 == to.0 && from.1.abs_diff(to.1) == 1;
            if neighbours {
                *self.memory.entry(from).or_insert(0) += fifo.bytes;
                continue;
            }
            for (tile, out) in [(from, true), (to, false)] {
                *channels.entry((tile, out)).or_insert(0) += 1;
                if tile.1 >= FIRST_CORE {
                    *self.memory.entry(tile).or_insert(0) += fifo.bytes;
                }
            }
        }
        for ((tile, _), count) in channels {
            let most = if tile.1 == 1 { 6 } else { 2 };
            if count > most {
                return Err(format!("{count} DMA channels at the tile {tile:?}, which has {most}"));
            }
        }
        match self.memory.iter().find(|(_, bytes)| **bytes > CORE_MEMORY) {
            Some((tile, bytes)) => Err(format!("{bytes} bytes in the memory of the core at {tile:?}")),
            None => Ok(()),
        }
    }
}
