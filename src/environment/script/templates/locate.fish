set -g _venvoy_env (builtin realpath -- (dirname -- (status filename | string collect) | string collect)/.. | string collect)
