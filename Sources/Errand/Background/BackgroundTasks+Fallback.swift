// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

extension BackgroundTasks {
    /// For code that runs without a runner around it: an application that was built without
    /// `Application(router:background:)`, or a task-local that did not come along.
    ///
    /// The work is done, at once, by a runner of the process that nothing drains, and an error is logged the
    /// first time. It does not trap, not even in debug builds: whether the wrapper is there can depend on
    /// which request comes in, and no request may end the process.
    package static func fallback(logger: Logger) -> BackgroundTasks {
        if fallbackIsLogged.exchange(true, ordering: .relaxed) == false {
            logger.error(
                "no background runner around this request; tasks start at once and shutdown does not wait for them:                 build the application with Application(router:background:)"
            )
        }
        return BackgroundTasks(runner: fallbackRunner, logger: logger, isHandedOver: true)
    }

    private static let fallbackIsLogged = Atomic(false)

    private static let fallbackRunner: BackgroundRunner = {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        return BackgroundRunner(configuration: configuration)
    }()
}
