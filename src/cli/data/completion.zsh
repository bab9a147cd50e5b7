#compdef tc-hostnet
# Completion of tc-hostnet in zsh. The command itself answers what may stand at the cursor.
_tc-hostnet() {
  local line
  local -a candidates
  for line in "${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files)
        compset -P '--*='
        _files
        ;;
      :commands) _command_names -e ;;
      # _describe divides a candidate from its meaning at the first colon that has no backslash.
      *$'\t'*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      *) candidates+=("${line//:/\\:}") ;;
    esac
  done
  (( ! $#candidates )) || _describe tc-hostnet candidates
}
if [ "$funcstack[1]" = _tc-hostnet ]; then
  _tc-hostnet "$@"
else
  compdef _tc-hostnet tc-hostnet
fi
