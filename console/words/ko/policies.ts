/** The texts of release policies, in Korean. */
import type { policies as English } from '../en/policies.ts';

export const policies: typeof English = {
  policiesLead:
    '기능 플래그가 내는 값의 변경이 환경의 차량에 어떤 단계로 적용되는지 정합니다. 킬 스위치와 끄기는 언제나 바로 적용됩니다.',
  noPolicy: '단계가 없습니다. 변경은 모든 차량에 바로 적용됩니다.',
  changePolicy: '정책 바꾸기',
  changePolicyOf: (environment) => `정책 바꾸기: ${environment}`,
  policyOf: (environment) => `단계 배포 정책: ${environment}`,
  toPolicies: '모든 정책',
  policySetBy: (name) => `${name} 님이 정함`,
  policyStage: '단계',
  stageShare: '변경을 받는 차량',
  stageSoak: '지켜보는 시간',
  stageReports: '다음 단계 전에 보고해야 하는 차량',
  canaryAlone: '먼저 받는 차량만',
  noReports: '없음',
  vehiclesCounted: (_, text) => `${text}대`,
  noCanary: '먼저 받는 차량을 따로 정하지 않았습니다.',
  policyLimits: (vehicles, points) =>
    `이상을 보고한 차량이 ${vehicles}대를 넘고 그 비율이 다른 차량보다 ${points}%p 넘게 높으면 배포를 멈춥니다.`,

  // A looser policy
  policyWaits: '완화된 정책이 다른 담당자의 승인을 기다립니다',
  policyProposedBy: (name) => `${name} 님이 제안함`,
  loosensBy: '다음 점에서 완화됩니다',
  loosenings: {
    FEWER_LEVELS: '일부 안전 등급의 기능 플래그가 더 이상 대상이 아님',
    SHORTER_WATCH: '더 짧게 지켜본 뒤에 변경을 받거나 배포가 끝나는 차량이 있음',
    FEWER_REPORTS: '더 적은 차량이 보고한 뒤에 변경을 받는 차량이 있음',
    OTHER_CANARY: '먼저 받는 차량이 달라짐',
    HIGHER_FAULT_LIMIT: '이상이 더 많아야 배포를 멈춤',
    WEAKER_GUARDS: '가드가 없어지거나 덜 엄격해지거나 더 이상 배포를 멈추지 않음',
  },
  policyDifference: '완화된 정책이 바꾸는 것',
  ownProposal: '직접 제안한 정책입니다. 다른 담당자가 승인해야 합니다.',
  withdrawPolicy: '철회',

  // The form
  stageOf: (position) => `${position}단계`,
  removeStage: (position) => `${position}단계 제거`,
  addStage: '단계 추가',
  stagesHint:
    '단계마다 앞 단계보다 차량이 많고, 마지막 단계는 모든 차량(100)입니다. 단계가 없으면 변경이 모든 차량에 바로 적용됩니다.',
  stagePercentage: '비율',
  stageUnit: '단위',
  soakUnits: { days: '일', hours: '시간', minutes: '분', seconds: '초' },
  stageVehicles: '보고해야 하는 차량 수',
  canaryHint: '이 차량들은 첫 단계부터 모든 변경을 받습니다. 정해 두면 첫 단계를 0으로 할 수 있습니다.',
  canaryVins: '먼저 받는 차량 (VIN)',
  canaryModels: '먼저 받는 차종',
  canaryRegions: '먼저 받는 지역',
  guardsLead: '측정값으로 배포마다 확인합니다.',
  noGuards: '없음',
  guardsHint:
    '가드는 변경을 받은 차량의 측정값을 다른 차량과 비교합니다. 선언된 지표만 쓸 수 있으며, 측정값이 없으면 다음 단계로 넘어가지 않습니다.',
  guardOf: (position) => `가드 ${position}`,
  addGuard: '가드 추가',
  removeGuard: (position) => `가드 ${position} 제거`,
  guardAction: '한계를 넘으면',
  guardActions: { HALT: '배포를 멈춤', HOLD: '다음 단계를 보류' },
  guardVehicles: '다음 단계에 필요한 차량 수',
  guardSilence: '측정값이 없으면 보류할 때까지 (분)',
  guardDetails: (confidence, vehicles, silence) =>
    `신뢰 수준 ${confidence}, 필요한 차량 ${vehicles}대, ${silence} 동안 측정이 없으면 보류`,
  levelsHint: '다른 등급의 기능 플래그 변경은 모든 차량에 바로 적용됩니다.',
  savePolicy: '정책 정하기',
  policySaved: '정책을 정했습니다. 앞으로의 변경에 적용됩니다.',
  policyProposed: 'ASIL-D에 대해 완화된 정책이므로 다른 담당자가 승인할 때까지 기다립니다. 지금의 정책은 그대로입니다.',
  policyChanged: '그사이에 정책이 변경되었습니다.',
  noSuchEnvironment: '그런 환경은 없습니다.',
};
