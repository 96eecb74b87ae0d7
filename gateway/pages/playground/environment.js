/**
 * Gives the editors (Monaco) the addresses of their workers, before they load. `globalAPI` gives them to tasks.js,
 * which writes into them.
 */
self.MonacoEnvironment = {
  globalAPI: true,
  getWorkerUrl(_module, label) {
    const { workerEditor, workerJson, workerGraphql } = document.body.dataset;
    return { json: workerJson, graphql: workerGraphql }[label] ?? workerEditor;
  },
};
