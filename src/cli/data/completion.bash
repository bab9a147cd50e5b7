# Completion of tc-hostnet in bash. The command itself answers what may stand at the cursor.
_tc_hostnet() {
  local line=${COMP_LINE:0:COMP_POINT} words current candidate
  COMPREPLY=()
  # Not COMP_WORDS: readline has broken these at "=" and ":".
  read -ra words <<<"$line"
  [[ $line != *[[:blank:]] ]] || words+=("")
  current=${words[-1]}
  while IFS= read -r candidate; do
    case $candidate in
      :files)
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${current#--*=}")
        ;;
      :commands) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -c -- "$current") ;;
      *)
        candidate=${candidate%%$'\t'*}
        # Readline replaces only what follows the last place where it breaks words.
        [[ $current != *[=:]* ]] || candidate=${candidate#"${current%"${current##*[=:]}"}"}
        # The word goes into the command line as it is, and a name may have what the shell would run.
        [[ $candidate != *[!A-Za-z0-9_@%+=:,./-]* ]] || printf -v candidate %q "$candidate"
        COMPREPLY+=("$candidate")
        ;;
    esac
  done < <("${words[0]/#\~\//$HOME/}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _tc_hostnet tc-hostnet
