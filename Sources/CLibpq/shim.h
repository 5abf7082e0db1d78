// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

#include <libpq-fe.h>
