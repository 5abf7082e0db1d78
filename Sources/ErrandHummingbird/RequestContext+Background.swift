// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
public import Hummingbird

extension RequestContext {
    /// The background tasks of this request: work for after the response.
    ///
    /// On every context, also that of a `ChildRequestContext`; middleware, handlers, services and streaming
    /// bodies of one request see the same object. Where a task-local does not reach (`Task.detached`, a body of
    /// known length that adds the first task while it is written) take it before and hand it over.
    /// In an application without a background runner the work starts at once, see the log.
    public var background: BackgroundTasks {
        BackgroundTasks.current ?? .fallback(logger: logger)
    }
}
