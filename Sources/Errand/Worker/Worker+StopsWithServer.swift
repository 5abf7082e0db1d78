// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension Worker: StopsWithServer {
    /// Stops claiming; see ``stopClaiming()``.
    public func serverIsStopping() {
        stopClaiming()
    }
}
