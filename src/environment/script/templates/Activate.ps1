# Dot-source this file: `. bin/Activate.ps1`. `deactivate` undoes it.

function global:deactivate ([switch]$NonDestructive) {
    if (Test-Path Variable:_OLD_VIRTUAL_PATH) {
        $Env:PATH = $Global:_OLD_VIRTUAL_PATH
        Remove-Variable -Name _OLD_VIRTUAL_PATH -Scope Global
    }
    if (Test-Path Variable:_OLD_VIRTUAL_PYTHONHOME) {
        $Env:PYTHONHOME = $Global:_OLD_VIRTUAL_PYTHONHOME
        Remove-Variable -Name _OLD_VIRTUAL_PYTHONHOME -Scope Global
    }
    if (Test-Path Function:_venvoy_old_prompt) {
        Copy-Item -Path Function:_venvoy_old_prompt -Destination Function:prompt
        Remove-Item -Path Function:_venvoy_old_prompt
    }
    Remove-Item -LiteralPath Env:VIRTUAL_ENV -ErrorAction SilentlyContinue
    Remove-Item -LiteralPath Env:VIRTUAL_ENV_PROMPT -ErrorAction SilentlyContinue
    if (-not $NonDestructive) {
        Remove-Item -Path Function:deactivate
    }
}

@LOCATE@

if (-not (Test-Path -LiteralPath ([System.IO.Path]::Combine($_venvoyEnv, 'pyvenv.cfg')) -PathType Leaf)) {
    Remove-Item -Path Function:deactivate
    throw "no environment at '$_venvoyEnv': pyvenv.cfg is missing there"
}

# Another environment may be active: start from what was before it.
deactivate -NonDestructive

$Env:VIRTUAL_ENV = $_venvoyEnv
$Global:_OLD_VIRTUAL_PATH = $Env:PATH
$Env:PATH = [System.IO.Path]::Combine($_venvoyEnv, 'bin') + [System.IO.Path]::PathSeparator + $Env:PATH
if (Test-Path Env:PYTHONHOME) {
    $Global:_OLD_VIRTUAL_PYTHONHOME = $Env:PYTHONHOME
    Remove-Item -LiteralPath Env:PYTHONHOME
}
$_venvoyName = @PROMPT@
if (-not $_venvoyName) {
    $_venvoyName = [System.IO.Path]::GetFileName($_venvoyEnv)
}
$Env:VIRTUAL_ENV_PROMPT = $_venvoyName
if (-not $Env:VIRTUAL_ENV_DISABLE_PROMPT) {
    # Made global first, so that the copy below lands there.
    function global:_venvoy_old_prompt { '' }
    Copy-Item -Path Function:prompt -Destination Function:_venvoy_old_prompt
    function global:prompt {
        Write-Host -NoNewline ('(' + $Env:VIRTUAL_ENV_PROMPT + ') ')
        _venvoy_old_prompt
    }
}
Remove-Variable -Name _venvoyEnv, _venvoyName
