// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#ifndef SPAWN_ACTIONS_H
#define SPAWN_ACTIONS_H

#include <spawn.h>

/// Has a new process close all descriptors from `lowest` on: what another thread opens meanwhile is not inherited either.
///
/// Glibc's function for that is declared for GNU sources only, which Swift code is not. Elsewhere it does nothing and the
/// answer is 0: on Darwin a flag of `posix_spawn` does it.
int spawn_actions_close_from(posix_spawn_file_actions_t *actions, int lowest);

#endif
