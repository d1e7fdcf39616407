# fish completion for `git exp` and `git-exp`; from `git exp completion fish`
# From 3.6.1 on fish passes `git exp …` on to the completions of `git-exp`. Before, have this in
# config.fish: `git exp completion fish | source`.

function __git_exp_words
    set -l typed (commandline -opc) (commandline -ct)
    if test "$typed[1]" = git
        set typed $typed[(contains -i -- exp $typed)..-1]
    end
    set -l lines (git-exp complete fish -- $typed[2..-1] 2>/dev/null)
    switch "$lines[1]"
        case ':files*'
            set -l last (commandline -ct)
            if string match -q -- '--*=*' $last
                set -l name (string replace -r '=.*' '=' -- $last)
                printf '%s\n' $name(__fish_complete_path (string replace -r '^[^=]*=' '' -- $last))
            else
                __fish_complete_path $last
            end
        case ':command*'
            set -l skip (string replace -r '.*\t' '' -- $lines[1])
            complete -C (string join ' ' -- (string escape -- $typed[(math $skip + 2)..-2]) $typed[-1])
        case '*'
            printf '%s\n' $lines
    end
end

complete -c git-exp -f -a '(__git_exp_words)'
complete -c gitexp -f -a '(__git_exp_words)'
complete -c git -f -n '__fish_git_using_command exp' -a '(__git_exp_words)'
