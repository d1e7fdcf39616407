# bash completion for `git exp` and `git-exp`; from `git exp completion bash`
# shellcheck shell=bash

# Put what may follow the words given into COMPREPLY; the last word is the unfinished one.
__gitexp_reply() {
	local unfinished=${*: -1} cut="" word line IFS=$'\n'
	local -a lines=()
	mapfile -t lines < <(git-exp complete bash -- "$@" 2>/dev/null)
	COMPREPLY=()
	case ${lines[0]-} in
	:files*)
		compopt -o filenames 2>/dev/null
		word=${unfinished}
		[[ $word == --*=* ]] && word=${word#*=}
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	:command*)
		__gitexp_offset "$((${lines[0]#*$'\t'} + ${__gitexp_first:-1}))" "$unfinished"
		return
		;;
	esac
	# Readline replaces only what stands after the last word break.
	case $COMP_WORDBREAKS in *:*) [[ $unfinished == *:* ]] && cut=${unfinished%"${unfinished##*:}"} ;; esac
	case $COMP_WORDBREAKS in *=*) [[ $unfinished == *=* ]] && cut=${unfinished%"${unfinished##*=}"} ;; esac
	for line in "${lines[@]}"; do
		case $line in
		*=|*:) COMPREPLY+=("${line#"$cut"}") ;;
		*) COMPREPLY+=("${line#"$cut"} ") ;;
		esac
	done
	compopt -o nospace 2>/dev/null
}

# Complete a command line that begins at a word of its own, as after `run --`.
__gitexp_offset() {
	local from=$1 n
	for ((n = 1; n < COMP_CWORD; n++)); do
		[[ ${COMP_WORDS[n]} == -- ]] && from=$((n + 1)) && break
	done
	if declare -F _command_offset >/dev/null; then
		compopt +o nospace 2>/dev/null
		_command_offset "$from"
	elif ((from == COMP_CWORD)); then
		mapfile -t COMPREPLY < <(compgen -c -- "$2")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
	fi
}

# `git exp …`: git's own completion calls this with its words in `words` and `cword`.
_git_exp() {
	local at=${__git_cmd_idx:-0} n
	if ((at == 0)); then
		for ((n = 1; n < cword; n++)); do
			[[ ${words[n]} == exp ]] && at=$n && break
		done
	fi
	local __gitexp_first=$((at + 1))
	__gitexp_reply "${words[@]:at + 1:cword - at}"
}

# `git-exp …`
_git_exp_alone() {
	local cur prev words=() cword=0
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n =: cur prev words cword
	else
		words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	fi
	local __gitexp_first=1
	__gitexp_reply "${words[@]:1:cword}"
}

complete -o bashdefault -o default -o nospace -F _git_exp_alone git-exp gitexp
