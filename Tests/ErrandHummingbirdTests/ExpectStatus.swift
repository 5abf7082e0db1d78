// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import HummingbirdTesting
import Testing

extension TestClientProtocol {
    /// Gets `uri` and expects this status.
    func expect(
        _ status: HTTPResponse.Status,
        from uri: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let response = try await execute(uri: uri, method: .get)
        #expect(response.status == status, sourceLocation: sourceLocation)
    }
}
