//! pipenv's own help beside what venvoy answers: `docs/pipenv.md` has a row for each command and option.

use std::{collections::BTreeSet, fs, process::Command};

use clap::CommandFactory as _;
use venvoy::inside::words::args::{
    Cli,
    pipenv::{Answer, OTHERS, Other, with_others},
};

use crate::support::project::Project;

/// What `pipenv [COMMAND] --help` prints.
fn help(command: &str) -> String {
    let mut pipenv = Command::new(super::pipenv());
    pipenv.args((!command.is_empty()).then_some(command)).arg("--help");
    let output = pipenv
        .env("COLUMNS", "200")
        .env("PIPENV_IGNORE_VIRTUALENVS", "1")
        .output()
        .expect("tests/run installs pipenv");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands that its help lists.
fn commands() -> Vec<String> {
    let text = help("");
    let list = text
        .split("  COMMAND\n")
        .nth(1)
        .expect("commands")
        .split("\n\n")
        .next()
        .expect("commands")
        .to_owned();
    let name = |line: &str| {
        line.strip_prefix("    ")
            .filter(|rest| !rest.starts_with(' '))
            .and_then(|rest| rest.split(' ').next().map(str::to_owned))
    };
    list.lines().filter_map(name).collect()
}

/// The options of a command, without dashes.
fn options(command: &str) -> BTreeSet<String> {
    let text = help(command);
    let heads = text
        .lines()
        .filter(|line| line.starts_with("  -"))
        .map(|line| line.trim_start().split("  ").next().unwrap_or_default());
    let longs = heads.flat_map(|head| {
        head.split([' ', ',']).filter_map(|word| word.strip_prefix("--")).map(str::to_owned)
    });
    longs.filter(|option| !matches!(option.as_str(), "help" | "version")).collect()
}

fn other(command: &str, option: &str) -> Option<&'static Other> {
    OTHERS.iter().find(|other| other.command == command && other.option == option)
}

/// Whether venvoy has it itself, as everybody sees it in its help or completion.
fn is_taken(command: &str, option: &str) -> bool {
    let mut root = Cli::command();
    root.build();
    let global = root.get_arguments().any(|arg| arg.is_global_set() && arg.get_long() == Some(option));
    let at = if command.is_empty() { Some(&root) } else { root.find_subcommand(command) };
    at.is_some_and(|at| {
        option.is_empty() || global || at.get_arguments().any(|arg| arg.get_long() == Some(option))
    })
}

fn row(command: &str, option: &str) -> String {
    let typed = [command.to_owned(), if option.is_empty() { String::new() } else { format!("--{option}") }];
    let typed = typed.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    let answer = match other(command, option) {
        _ if (command, option) == ("check", "") => {
            "another command here: it compares an environment with what was written and with the lock"
                .to_owned()
        }
        _ if is_taken(command, option) => "taken".to_owned(),
        Some(Other { answer: Answer::PassedOver(why), .. }) => format!("passed over: {why}"),
        Some(Other { answer: Answer::Instead(does_not, help), .. }) => {
            format!("an error: {does_not}. Instead: {help}")
        }
        None => panic!("venvoy has no answer to pipenv {typed}"),
    };
    format!("| `{typed}` | {} |\n", answer.replace('|', "\\|"))
}

#[test]
fn every_command_and_option_of_pipenv_has_an_answer_that_the_docs_name() {
    let mut table = String::from("| pipenv | venvoy |\n|---|---|\n");
    for option in options("") {
        table.push_str(&row("", &option));
    }
    for command in commands() {
        table.push_str(&row(&command, ""));
        // The options of a command that is not taken go with it.
        if is_taken(&command, "") {
            for option in options(&command) {
                table.push_str(&row(&command, &option));
            }
        }
    }
    assert!(table.lines().count() > 80, "{table}");
    let docs =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipenv.md")).expect("docs/pipenv.md");
    assert!(docs.contains(&table), "docs/pipenv.md is to have this table:\n{table}");
}

#[test]
fn what_is_not_taken_is_an_error_of_one_line_and_a_help() {
    let project = Project::new();
    let mut tried = 0;
    for other in OTHERS {
        let Answer::Instead(does_not, help) = other.answer else { continue };
        if is_taken(other.command, other.option) && !other.option.is_empty() {
            continue;
        }
        let option = format!("--{}", other.option);
        let mut args: Vec<&str> = Vec::new();
        args.extend((!other.command.is_empty()).then_some(other.command));
        if !other.option.is_empty() {
            args.push(&option);
        }
        args.extend(other.value.then_some("x"));
        let typed = other.typed();
        project.run(&args).ends(2, &[&format!("error: {typed}: {does_not}"), &format!("  help: {help}")]);
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn what_is_passed_over_parses() {
    for other in OTHERS.iter().filter(|other| matches!(other.answer, Answer::PassedOver(_))) {
        let option = format!("--{}", other.option);
        let mut args = vec!["venvoy"];
        args.extend((!other.command.is_empty()).then_some(other.command));
        args.push(&option);
        args.extend(other.value.then_some("x"));
        with_others(Cli::command())
            .try_get_matches_from(args)
            .unwrap_or_else(|error| panic!("{option}: {error}"));
    }
}

#[test]
fn a_command_that_neither_knows_is_corrected() {
    let project = Project::new();
    project.run(&["instal"]).mentions(&["unrecognized subcommand 'instal'", "install"]).ends_with(2);
}

#[test]
fn options_before_the_command_are_the_commands_as_with_pipenv() {
    let project = Project::hello();
    project.run(&["--python", "9.9", "plan"]).mentions(&["9.9"]).ends_with(4);
    project.run(&["--python", "3.12"]).ends(
        2,
        &[
            "error: --python and --pypi-mirror are for a command, and none follows",
            "  help: write it after them, such as `venvoy --python 3.12 sync`",
        ],
    );
    project.run(&["--pypi-mirror", "nonsense", "plan"]).mentions(&["--pypi-mirror is unusable"]).ends_with(2);
}
