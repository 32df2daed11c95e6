# Use this file as an overlay: `overlay use bin/activate.nu`. `deactivate` undoes it.

export-env {
    @LOCATE@
    if not ($environment | path join pyvenv.cfg | path exists) {
        error make --unspanned {msg: $"no environment at '($environment)': pyvenv.cfg is missing there"}
    }
    let name = @PROMPT@
    let shown = if ($name | is-empty) { $environment | path basename } else { $name }
    let path_name = if 'Path' in $env { 'Path' } else { 'PATH' }
    let old_path = $env | get $path_name
    let old_path = if ($old_path | describe) == 'string' { $old_path | split row (char esep) } else { $old_path }
    load-env {
        $path_name: ($old_path | prepend ($environment | path join bin))
        VIRTUAL_ENV: $environment
        VIRTUAL_ENV_PROMPT: $shown
    }
    hide-env --ignore-errors PYTHONHOME
    if ($env.VIRTUAL_ENV_DISABLE_PROMPT? | is-empty) {
        let old_prompt = $env.PROMPT_COMMAND?
        $env.PROMPT_COMMAND = {||
            let rest = if ($old_prompt | describe) == 'closure' { do $old_prompt } else { $old_prompt | default '' }
            $"\(($shown)\) ($rest)"
        }
    }
}

export alias deactivate = overlay hide activate
