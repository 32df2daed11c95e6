# csh does not say which file it is reading, but has it open; sh can tell what that is.
setenv _VENVOY_CODE 'for f in /proc/"$1"/fd/*; do t=$(readlink "$f"); case $t in (*/bin/activate.csh) printf %s "${t%/bin/activate.csh}"; break;; esac; done'
set _venvoy_env = "`printenv _VENVOY_CODE | sh -s $$`"
unsetenv _VENVOY_CODE
if ( "$_venvoy_env:q" == "" && $?VENVOY_ENV ) then
    set _venvoy_env = "`printenv VENVOY_ENV`"
endif
