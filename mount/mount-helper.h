/* mount.mailfs and mount.fuse.mailfs: how mount(8) calls us. */
#pragma once

/* `mount.mailfs SPEC DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`.  SPEC is an account,
 * "mailfs#ACCOUNT", or "*" for all.  The answer is one of mount(8)'s exit codes. */
int mount_helper_run(int argc, char **argv);
