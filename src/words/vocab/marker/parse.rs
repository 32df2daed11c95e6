//! The grammar of markers (PEP 508, with the names of PEP 345 that old locks use).

use super::{AnyOf, Clause, Comparator, Comparison, Operator, Term, Variable, normalise};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::specifier::OPERATORS,
};

/// Parentheses may nest this deep: as deep as pip can read them (`packaging` takes 494 before Python's stack ends),
/// far below the end of ours.
const MAX_DEPTH: usize = 500;

/// Every spelling of every variable.
const VARIABLES: [(&str, Variable); 20] = [
    ("python_version", Variable::PythonVersion),
    ("python_full_version", Variable::PythonFullVersion),
    ("python_implementation", Variable::PlatformPythonImplementation),
    ("os_name", Variable::OsName),
    ("os.name", Variable::OsName),
    ("sys_platform", Variable::SysPlatform),
    ("sys.platform", Variable::SysPlatform),
    ("platform_release", Variable::PlatformRelease),
    ("platform_system", Variable::PlatformSystem),
    ("platform_version", Variable::PlatformVersion),
    ("platform.version", Variable::PlatformVersion),
    ("platform_machine", Variable::PlatformMachine),
    ("platform.machine", Variable::PlatformMachine),
    ("platform_python_implementation", Variable::PlatformPythonImplementation),
    ("platform.python_implementation", Variable::PlatformPythonImplementation),
    ("implementation_name", Variable::ImplementationName),
    ("implementation_version", Variable::ImplementationVersion),
    ("extra", Variable::Extra),
    ("extras", Variable::Extras),
    ("dependency_groups", Variable::DependencyGroups),
];

/// Reads a whole marker.
pub(super) fn marker(text: &str) -> Result<AnyOf> {
    let mut parser = Parser { text, at: 0 };
    let marker = parser.any_of(0)?;
    if parser.at < text.len() {
        return Err(parser.expected("'and', 'or' or the end"));
    }
    Ok(marker)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

enum Operand {
    Variable(Variable),
    Literal(String),
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, at: usize, what: &str) -> Error {
        let column = self.text[..at].chars().count() + 1;
        Error::new(
            Kind::Lock,
            format!("{:?} is not an environment marker: column {column}: {what}", self.text),
        )
        .help("expected something like python_version >= '3.8' and sys_platform == 'linux' (PEP 508)")
    }

    fn expected(&self, what: &str) -> Error {
        let got: String = self.rest().chars().take(12).collect();
        let got = if got.is_empty() { "the end".to_owned() } else { format!("{got:?}") };
        self.error(self.at, &format!("expected {what}, got {got}"))
    }

    fn space(&mut self) -> bool {
        let before = self.at;
        self.at += self.rest().bytes().take_while(|c| matches!(c, b' ' | b'\t')).count();
        self.at > before
    }

    /// Takes `text` if it is next.
    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes `word` if it is next and ends there.
    fn take_word(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if ends {
            self.at += word.len();
        }
        ends
    }

    fn any_of(&mut self, depth: usize) -> Result<AnyOf> {
        let mut alternatives = vec![vec![self.term(depth)?]];
        loop {
            if self.take_word("or") {
                alternatives.push(vec![self.term(depth)?]);
            } else if self.take_word("and") {
                let term = self.term(depth)?;
                if let Some(terms) = alternatives.last_mut() {
                    terms.push(term);
                }
            } else {
                return Ok(AnyOf(alternatives));
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Term> {
        self.space();
        let open = self.at;
        let term = if self.take("(") {
            if depth == MAX_DEPTH {
                return Err(self.error(open, &format!("parentheses nest deeper than {MAX_DEPTH}")));
            }
            let inner = self.any_of(depth + 1)?;
            if !self.take(")") {
                return Err(self.expected(&format!("')' for the '(' in column {}", open + 1)));
            }
            simplified(inner)
        } else {
            Term::Comparison(self.comparison()?)
        };
        self.space();
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Comparison> {
        let start = self.at;
        let left = self.operand()?;
        self.space();
        let operator = self.operator()?;
        self.space();
        let right = self.operand()?;
        let (variable, mut literal, reversed) = match (left, right) {
            (Operand::Variable(variable), Operand::Literal(literal)) => (variable, literal, false),
            (Operand::Literal(literal), Operand::Variable(variable)) => (variable, literal, true),
            // `packaging` takes the second name as text, so that this can hold nowhere sensible.
            (Operand::Variable(variable), Operand::Variable(other)) => {
                (variable, other.as_str().to_owned(), false)
            }
            (Operand::Literal(_), Operand::Literal(_)) => {
                return Err(self.error(start, "two quoted strings are compared; one side must be a variable"));
            }
        };
        if variable.is_set() && !(reversed && matches!(operator, Operator::In | Operator::NotIn)) {
            let name = variable.as_str();
            return Err(self.error(start, &format!("{name} holds a set: expected '\"NAME\" in {name}'")));
        }
        if operator == Operator::Comparator(Comparator::Compatible) {
            let fits = variable.is_version()
                && (reversed || Clause::parse(Comparator::Compatible, &literal).is_some());
            if !fits {
                return Err(self.error(start, "'~=' compares versions of two or more numbers only"));
            }
        }
        if variable.is_name() {
            literal = normalise(&literal);
        }
        Ok(Comparison { variable, operator, literal, reversed })
    }

    fn operator(&mut self) -> Result<Operator> {
        if self.take_word("in") {
            return Ok(Operator::In);
        }
        if self.take_word("not") {
            if !self.space() || !self.take_word("in") {
                return Err(self.expected("'in' after 'not'"));
            }
            return Ok(Operator::NotIn);
        }
        OPERATORS
            .into_iter()
            .find_map(|(text, operator)| self.take(text).then_some(Operator::Comparator(operator)))
            .ok_or_else(|| self.expected("one of <=, <, !=, ==, >=, >, ~=, ===, in, not in"))
    }

    fn operand(&mut self) -> Result<Operand> {
        if let Some((_, variable)) = VARIABLES.into_iter().find(|(name, _)| self.take_word(name)) {
            return Ok(Operand::Variable(variable));
        }
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Err(self.expected("a marker variable or a quoted string"));
        };
        let Some(length) = self.rest()[1..].find(quote) else {
            return Err(self.error(self.at, "the quoted string does not end"));
        };
        let literal = &self.text[self.at + 1..self.at + 1 + length];
        let literal = unescape(literal).ok_or_else(|| {
            self.error(self.at, "the quoted string has an escape or a character it cannot have")
        })?;
        self.at += length + 2;
        Ok(Operand::Literal(literal))
    }
}

/// Parentheses around a single comparison, or around parentheses, say nothing.
fn simplified(mut group: AnyOf) -> Term {
    if let [terms] = &mut group.0[..]
        && terms.len() == 1
        && let Some(term) = terms.pop()
    {
        return term;
    }
    Term::Group(group)
}

/// The text of a Python string literal: `packaging` evaluates literals as Python does.
fn unescape(literal: &str) -> Option<String> {
    let mut out = String::with_capacity(literal.len());
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\r' | '\0' => return None,
            '\\' => {
                let character = match chars.next()? {
                    '\n' => continue,
                    '\\' => '\\',
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    'x' => code(&mut chars, 2)?,
                    'u' => code(&mut chars, 4)?,
                    'U' => code(&mut chars, 8)?,
                    'N' | '\r' | '\0' => return None,
                    first @ '0'..='7' => {
                        let mut value = first.to_digit(8)?;
                        for _ in 0..2 {
                            if let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) {
                                value = value * 8 + digit;
                                chars.next();
                            }
                        }
                        char::from_u32(value)?
                    }
                    other => {
                        out.push('\\');
                        other
                    }
                };
                out.push(character);
            }
            _ => out.push(c),
        }
    }
    Some(out)
}

/// The character of exactly `count` hexadecimal digits.
fn code(chars: &mut impl Iterator<Item = char>, count: usize) -> Option<char> {
    let mut value = 0_u32;
    for _ in 0..count {
        value = value.checked_mul(16)? + chars.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}
