# Completion of tc-hostnet in fish. The command itself answers what may stand at the cursor.
function __tc_hostnet_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current")
            case :commands
                complete -C "$current"
            case '*'
                echo $line
        end
    end
end
complete -c tc-hostnet -f -a '(__tc_hostnet_complete)'
