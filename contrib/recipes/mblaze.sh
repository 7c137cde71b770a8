# mblaze on a mount at ~/Mail/work: source this file from ~/.profile or ~/.bashrc.

MAILFS_MAILDIR=$HOME/Mail/work/.mailfs/maildir
mkdir -p "${MBLAZE:-$HOME/.mblaze}" # where mseq keeps what was listed

# inbox: takes what is new into cur/, and lists all; then mshow, mflag, mrefile and so on.
inbox() {
    minc -q "$MAILFS_MAILDIR/INBOX" >/dev/null
    mlist "$MAILFS_MAILDIR/INBOX" | mseq -S >/dev/null
    mscan :
}

# flag -S [MESSAGE...], as mflag: and the list knows the files by their new names.
flag() {
    mflag "$@" >/dev/null
    mseq -f : | mseq -S >/dev/null
}

# refile FOLDER [MESSAGE...]: moves messages (else the current one) and keeps their flags.
refile() {
    folder=$1
    shift
    mrefile "$@" "$MAILFS_MAILDIR/$folder"
}
