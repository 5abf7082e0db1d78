// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "SpawnActions.h"

int spawn_actions_close_from(posix_spawn_file_actions_t *actions, int lowest) {
#ifdef __GLIBC__
    return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
#else
    (void)actions;
    (void)lowest;
    return 0;
#endif
}
