//! Bills of materials, read by the tools of those who made their formats.

use std::path::Path;

use crate::support::program::{clean, tool};

/// Reads a CycloneDX and an SPDX document as their projects' own tools do.
const VALIDATE: &str = r"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
with open(sys.argv[1], encoding='utf-8') as file:
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read())
assert wrong is None, wrong
wrong = [message.validation_message for message in validate_full_spdx_document(parse_file(sys.argv[2]))]
assert not wrong, wrong
print('valid')
";

/// Fails where one of the two is not what its format's schema says.
#[track_caller]
pub fn are_valid(cyclonedx: &Path, spdx: &Path) {
    let run = clean(&tool("python"))
        .args(["-I", "-c", VALIDATE])
        .args([cyclonedx, spdx])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "valid\n", "{said}");
}
