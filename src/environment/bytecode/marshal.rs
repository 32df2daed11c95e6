//! Marshalled code in one form only.
//!
//! CPython's `marshal` writes what its objects happen to be: an object that something else also refers to
//! (the parser's memory, a table of interned strings) is marked as one that may be referred to, and a string
//! is marked as interned if anybody interned it. Both depend on what the process did before, so equal
//! sources give unequal bytes. Here the stream is read as what it means, and written anew:
//!
//! - Equal constants are written once. Whatever comes a second time and is longer than a reference (five
//!   bytes) becomes one; only what is referred to is marked. Code objects keep their identity.
//! - A string is marked as interned if it could be a name (ASCII letters, digits, `_`): what the
//!   interpreter interns itself when it makes a code object.
//! - The members of a frozen set are sorted by their bytes.
//!
//! The result is also smaller than what CPython writes. Formats: versions 4 and 5 of `marshal`, code
//! objects of CPython 3.7 to 3.14 (`Python/marshal.c`).

use std::{cmp::Ordering, collections::HashMap};

/// Nothing that a compiler writes is nested this deep, through references neither.
const DEPTH: usize = 1000;

/// The length of a reference in the stream.
const REFERENCE: usize = 5;

/// Marks an object that is referred to later.
const FLAG: u8 = 0x80;

/// The shape of a code object: `ints` numbers, `objects` objects, the first line's number, `last` objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    ints: usize,
    objects: usize,
    last: usize,
}

impl Shape {
    /// The shape in CPython `3.minor`; `None` for versions that are not known.
    pub(crate) fn of(minor: u8) -> Option<Self> {
        let (ints, last) = match minor {
            7 => (5, 1),
            8..=10 => (6, 1),
            11..=14 => (5, 2),
            _ => return None,
        };
        Some(Shape { ints, objects: 8, last })
    }
}

/// Writes a marshalled code object in its one form; the error says what could not be read.
pub(crate) fn canonical(stream: &[u8], shape: Shape) -> Result<Vec<u8>, String> {
    let mut reader = Reader {
        stream,
        at: 0,
        shape,
        refs: Vec::new(),
        nodes: Vec::new(),
        depths: Vec::new(),
        known: HashMap::new(),
    };
    let root = reader.object(0)?;
    if reader.at != stream.len() {
        return Err(format!("{} bytes follow the code", stream.len() - reader.at));
    }
    let nodes = reader.nodes;
    let mut writer = Writer {
        uses: vec![0; nodes.len()],
        places: vec![None; nodes.len()],
        next: 0,
        out: Vec::with_capacity(stream.len()),
        nodes: &nodes,
    };
    writer.count(root);
    writer.write(root);
    Ok(writer.out)
}

/// An object; children are positions among the nodes, all before its own.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
enum Node {
    /// Type and content, as they are written.
    Atom(Vec<u8>),
    /// Type and number of members, as they are written, and the members.
    Group(Vec<u8>, Vec<u32>),
    /// The numbers, the objects, the first line and the last objects of a code object.
    Code(Vec<u8>, Vec<u32>, [u8; 4], Vec<u32>),
}

impl Node {
    /// What it begins with; no head of one kind begins with another. No set holds a code object.
    fn head(&self) -> &[u8] {
        match self {
            Node::Atom(head) | Node::Group(head, _) | Node::Code(head, ..) => head,
        }
    }

    fn children(&self) -> impl Iterator<Item = u32> {
        let (first, last): (&[u32], &[u32]) = match self {
            Node::Atom(_) => (&[], &[]),
            Node::Group(_, members) => (members, &[]),
            Node::Code(_, objects, _, last) => (objects, last),
        };
        first.iter().chain(last).copied()
    }
}

struct Reader<'s> {
    stream: &'s [u8],
    at: usize,
    shape: Shape,
    /// What was marked, in its order; `None` while it is being read.
    refs: Vec<Option<u32>>,
    nodes: Vec<Node>,
    /// How deep each node is, with all that it refers to.
    depths: Vec<usize>,
    known: HashMap<Node, u32>,
}

impl<'s> Reader<'s> {
    fn take(&mut self, length: usize) -> Result<&'s [u8], String> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.stream.len());
        let end = end.ok_or("it ends too early")?;
        let bytes = &self.stream[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<usize, String> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        usize::try_from(i32::from_le_bytes(bytes)).map_err(|_| "a length is negative".to_owned())
    }

    /// Keeps a node once, however often it comes.
    fn node(&mut self, node: Node) -> Result<u32, String> {
        let next = u32::try_from(self.nodes.len()).map_err(|_| "it holds too many objects")?;
        // Two functions of the same text are two code objects.
        if !matches!(node, Node::Code(..)) {
            if let Some(&known) = self.known.get(&node) {
                return Ok(known);
            }
            self.known.insert(node.clone(), next);
        }
        let depth = node.children().map(|child| self.depths[child as usize] + 1).max().unwrap_or(0);
        if depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        self.depths.push(depth);
        self.nodes.push(node);
        Ok(next)
    }

    fn object(&mut self, depth: usize) -> Result<u32, String> {
        if depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let kind = self.take(1)?[0];
        let marked = kind & FLAG != 0;
        // Containers have their place before their members.
        let place = self.refs.len();
        if marked {
            self.refs.push(None);
        }
        let node = match kind & !FLAG {
            b'r' => {
                let place = self.number()?;
                let found = self.refs.get(place).copied().flatten();
                return found.ok_or_else(|| format!("it refers to an object {place} that is not there"));
            }
            kind @ (b'N' | b'T' | b'F' | b'.') => Node::Atom(vec![kind]),
            b'i' => Node::Atom([b"i", self.take(4)?].concat()),
            b'g' => Node::Atom([b"g", self.take(8)?].concat()),
            b'y' => Node::Atom([b"y", self.take(16)?].concat()),
            b'l' => {
                let head = self.take(4)?;
                let digits = i32::from_le_bytes([head[0], head[1], head[2], head[3]]).unsigned_abs() as usize;
                let body = self.take(digits.saturating_mul(2))?;
                Node::Atom([b"l", head, body].concat())
            }
            b's' => {
                let length = self.number()?;
                Node::Atom(sized(b's', self.take(length)?)?)
            }
            b'z' | b'Z' => {
                let length = usize::from(self.take(1)?[0]);
                Node::Atom(string(self.take(length)?)?)
            }
            b'a' | b'A' | b'u' | b't' => {
                let length = self.number()?;
                Node::Atom(string(self.take(length)?)?)
            }
            b')' => {
                let count = usize::from(self.take(1)?[0]);
                tuple(self.objects(count, depth)?)?
            }
            b'(' => {
                let count = self.number()?;
                tuple(self.objects(count, depth)?)?
            }
            b'>' => {
                let count = self.number()?;
                let mut members = self.objects(count, depth)?;
                members.sort_by(|&a, &b| self.order(a, b));
                Node::Group([&b">"[..], &count_of(&members)?].concat(), members)
            }
            b':' => Node::Group(vec![b':'], self.objects(3, depth)?),
            b'c' => {
                let ints = self.take(4 * self.shape.ints)?.to_vec();
                let objects = self.objects(self.shape.objects, depth)?;
                let mut line = [0; 4];
                line.copy_from_slice(self.take(4)?);
                let last = self.objects(self.shape.last, depth)?;
                Node::Code(ints, objects, line, last)
            }
            kind => return Err(format!("an object of the unknown type {:?}", char::from(kind))),
        };
        let node = self.node(node)?;
        if marked {
            self.refs[place] = Some(node);
        }
        Ok(node)
    }

    fn objects(&mut self, count: usize, depth: usize) -> Result<Vec<u32>, String> {
        // A count that lies costs nothing: every object takes a byte.
        (0..count).map(|_| self.object(depth + 1)).collect()
    }

    /// The order of two nodes by their bytes as they would be without references.
    ///
    /// What is equal is one node, so this goes down only where the two differ: into one member of each. The bytes
    /// themselves may be exponentially many, as a tuple may hold another twice, and that one a third.
    fn order(&self, a: u32, b: u32) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        match (&self.nodes[a as usize], &self.nodes[b as usize]) {
            (Node::Group(head, members), Node::Group(other, others)) if head == other => {
                let mut pairs = members.iter().zip(others);
                let differ = pairs.find(|(one, other)| one != other);
                differ.map_or(Ordering::Equal, |(&one, &other)| self.order(one, other))
            }
            (one, other) => one.head().cmp(other.head()).then(a.cmp(&b)),
        }
    }
}

fn count_of(members: &[u32]) -> Result<[u8; 4], String> {
    u32::try_from(members.len()).map(u32::to_le_bytes).map_err(|_| "it has too many members".to_owned())
}

/// A type, a length of four bytes, and so many bytes.
fn sized(kind: u8, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let length = u32::try_from(bytes.len()).map_err(|_| "it is too long".to_owned())?;
    Ok([&[kind][..], &length.to_le_bytes(), bytes].concat())
}

/// A string, with the type that its content asks for.
fn string(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.is_ascii() {
        return sized(b'u', text);
    }
    let name = text.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match u8::try_from(text.len()) {
        Ok(length) => Ok([&[if name { b'Z' } else { b'z' }, length], text].concat()),
        Err(_) => sized(if name { b'A' } else { b'a' }, text),
    }
}

fn tuple(members: Vec<u32>) -> Result<Node, String> {
    let head = match u8::try_from(members.len()) {
        Ok(count) => vec![b')', count],
        Err(_) => [&b"("[..], &count_of(&members)?].concat(),
    };
    Ok(Node::Group(head, members))
}

struct Writer<'n> {
    nodes: &'n [Node],
    /// How often each node comes.
    uses: Vec<u32>,
    /// The number under which a node that was written can be referred to.
    places: Vec<Option<u32>>,
    next: u32,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// Counts as [`Writer::write`] goes: what comes again is not entered again.
    fn count(&mut self, node: u32) {
        self.uses[node as usize] += 1;
        if self.uses[node as usize] > 1 && self.refers(node) {
            return;
        }
        let nodes = self.nodes;
        for child in nodes[node as usize].children() {
            self.count(child);
        }
    }

    /// Whether a second one becomes a reference. What has members always does but for the empty tuple.
    fn refers(&self, node: u32) -> bool {
        match &self.nodes[node as usize] {
            Node::Atom(bytes) => bytes.len() > REFERENCE,
            Node::Group(_, members) => !members.is_empty(),
            Node::Code(..) => true,
        }
    }

    fn write(&mut self, node: u32) {
        let mut flag = 0;
        if self.uses[node as usize] > 1 && self.refers(node) {
            if let Some(place) = self.places[node as usize] {
                self.out.push(b'r');
                self.out.extend(place.to_le_bytes());
                return;
            }
            flag = FLAG;
            self.places[node as usize] = Some(self.next);
            self.next += 1;
        }
        let start = self.out.len();
        let nodes = self.nodes;
        match &nodes[node as usize] {
            Node::Atom(bytes) => self.out.extend(bytes),
            Node::Group(head, members) => {
                self.out.extend(head);
                for &member in members {
                    self.write(member);
                }
            }
            Node::Code(ints, objects, line, last) => {
                self.out.push(b'c');
                self.out.extend(ints);
                for &object in objects {
                    self.write(object);
                }
                self.out.extend(line);
                for &object in last {
                    self.write(object);
                }
            }
        }
        self.out[start] |= flag;
    }
}
